//! An operator's month: one title, thirty editions, and what comes in day by day.
//!
//! After every step each edition is what it inherits with its own layers over it, and no edition has
//! changed that the step did not name.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::layers::EDITION;
use common::{Lab, noise};
use ottvc_merge::layers::Diverged;
use ottvc_merge::{Choice, Rule};
use ottvc_object::{RepoPath, TreeId};
use ottvc_repo::merging::MergeRequest;
use ottvc_repo::plan::{Carrying, TargetState};
use ottvc_repo::push::PushRequest;
use ottvc_repo::record::CommitOptions;
use ottvc_repo::{RepoError, Silent};

const TERRITORIES: [&str; 12] =
    ["at", "be", "ch", "de", "dk", "es", "fr", "it", "nl", "pl", "pt", "se"];

/// A library whose steps are looked at.
struct Month {
    lab: Lab,
    /// Every branch's tree before the step.
    before: BTreeMap<String, TreeId>,
}

impl Month {
    /// Takes a step that may change the branches that `names` accepts.
    fn day(&mut self, what: &str, names: impl Fn(&str) -> bool, step: impl FnOnce(&Lab)) {
        step(&self.lab);
        self.lab.check_layers();
        let after = self.lab.trees();
        let changed: BTreeSet<&String> = after
            .iter()
            .filter(|(name, tree)| self.before.get(*name).is_some_and(|old| old != *tree))
            .map(|(name, _)| name)
            .collect();
        let unnamed: Vec<&&String> = changed.iter().filter(|name| !names(name)).collect();
        assert!(unnamed.is_empty(), "{what} changed {unnamed:?}");
        self.before = after;
    }

    fn field(&self, rev: &str, field: &str) -> Option<String> {
        self.lab.field(rev, EDITION, field)
    }
}

/// The master with two sources, a director's cut, an airline cut, and for each of them regional editions.
fn library() -> Month {
    let lab = Lab::new();
    let document = r#"{
        "title": {"$loc": {"en": "Northern Light"}},
        "synopsis": "A keeper finds a map.",
        "rating": "12",
        "genres": {"$set": ["drama"]},
        "cast": {"$kl": {"keys": ["person"], "items": [
            {"person": "p1", "name": "Ada", "character": "Keeper"},
            {"person": "p2", "name": "Ben", "character": "Pilot"}]}},
        "windows": {"avod": null}
    }"#;
    lab.write(EDITION, document).write("feature.mp4", noise(1, 20_000)).commit("Master");
    // Where deliveries come in: branches of their own, merged into the master.
    lab.branch("source/mec").branch("source/eidr");
    for (cut, class) in [("cut/director", "director"), ("cut/airline", "airline")] {
        lab.repo.make_edition(cut, Some("main"), Some(class.into()), None).unwrap();
    }
    let regional = |name: String, from: &str, territory: &str| {
        let class = Some("regional".to_owned());
        lab.repo.make_edition(&name, Some(from), class, Some(territory.to_uppercase())).unwrap();
    };
    for territory in TERRITORIES {
        regional(format!("tv/{territory}"), "main", territory);
        regional(format!("director/{territory}"), "cut/director", territory);
    }
    for territory in &TERRITORIES[..4] {
        regional(format!("air/{territory}"), "cut/airline", territory);
    }
    let before = lab.trees();
    let editions = lab.repo.lineage(None, false).unwrap();
    assert_eq!(editions.iter().filter(|row| row.inherits.is_some()).count(), 30);
    lab.check_layers();
    Month { lab, before }
}

fn one(name: &str) -> impl Fn(&str) -> bool {
    move |branch| branch == name
}

fn propagate_all(lab: &Lab) {
    assert!(lab.propagate("main", &["**"]).moved);
}

#[test]
fn an_operators_month() {
    let mut month = library();

    month.day(
        "1: localising",
        |name| name.starts_with("tv/"),
        |lab| {
            lab.change("tv/de", &["/title/@de=\"Nordlicht\"", "/rating=\"16\""]);
            lab.change("tv/fr", &["/title/@fr=\"Lumière du Nord\""]);
            lab.change("tv/es", &["/genres/{thriller}=true"]);
            lab.switch("tv/it").write("feature.mp4", noise(7, 21_000)).commit("Italian dub");
        },
    );
    month.day("2: the director's cut", one("cut/director"), |lab| {
        lab.change("cut/director", &["/synopsis=\"A keeper finds a map, and burns it.\""]);
    });
    month.day(
        "3: it flows",
        |name| name.starts_with("director/"),
        |lab| {
            assert!(lab.propagate("cut/director", &["director/*"]).moved);
        },
    );
    assert_eq!(
        month.field("director/pl", "/synopsis").unwrap(),
        "\"A keeper finds a map, and burns it.\""
    );

    month.day(
        "5: two deliveries",
        |name| name.starts_with("source/"),
        |lab| {
            lab.change("source/mec", &["/synopsis=\"A lonely keeper finds a map.\"", "/year=2026"]);
            lab.change(
                "source/eidr",
                &["/ids={\"eidr\": \"10.5240/A\"}", "/genres/{mystery}=true"],
            );
        },
    );
    month.day("5: taken over", one("main"), |lab| {
        lab.switch("main");
        assert!(lab.merge("source/mec").clean);
        assert!(lab.merge("source/eidr").clean);
    });
    month.day(
        "6: all editions",
        |name| name.contains('/'),
        |lab| {
            let report = lab.propagate("main", &["**"]);
            assert_eq!(report.conflicts, 0);
            let moved = report.targets.iter().filter(|row| row.commit.is_some()).count();
            assert_eq!(moved, 30, "thirty in one operation");
            let refs = lab.repo.refs().operation(report.operation.unwrap()).unwrap().unwrap();
            assert_eq!(refs.edits.len(), 30);
        },
    );
    assert_eq!(month.field("air/ch", "/year").unwrap(), "2026");
    assert_eq!(month.field("tv/pl", "/synopsis").unwrap(), "\"A lonely keeper finds a map.\"");
    // What the director's cut says of itself is what its children see.
    assert_eq!(
        month.field("director/at", "/synopsis").unwrap(),
        "\"A keeper finds a map, and burns it.\""
    );
    assert_eq!(
        month.field("tv/es", "/genres").unwrap(),
        r#"{"$set":["drama","mystery","thriller"]}"#
    );

    month.day(
        "8: airlines",
        |name| name == "cut/airline",
        |lab| {
            lab.switch("cut/airline");
            lab.set(&["/cast/[person=p2]/character=\"Engineer\"", "/rating=\"6\""]);
            lab.finish_with("fit for the air");
        },
    );
    month.day(
        "9: the airline's regions",
        |name| name.starts_with("air/"),
        |lab| {
            assert!(lab.propagate("cut/airline", &["air/*"]).moved);
        },
    );

    // A wrong fix, everywhere, taken back with one undo.
    month.day(
        "11: a wrong fix",
        |_| true,
        |lab| {
            lab.change("main", &["/title/@en=\"Nothern Light\""]);
            propagate_all(lab);
        },
    );
    assert_eq!(month.field("air/at", "/title/@en").unwrap(), "\"Nothern Light\"");
    month.day(
        "11: taken back",
        |_| true,
        |lab| {
            lab.repo.undo(None, &Silent).unwrap();
            lab.repo.undo(None, &Silent).unwrap();
            // What the undo of a commit leaves staged is given up, too.
            let path = RepoPath::new(EDITION).unwrap();
            let document = lab.repo.document("main", &path).unwrap();
            lab.repo.write_document(&path, &document).unwrap();
            assert!(lab.is_clean());
        },
    );
    assert_eq!(month.field("air/at", "/title/@en").unwrap(), "\"Northern Light\"");

    // A role is cut from the master; the airline cut has changed something in it.
    month.day("14: a role is cut", one("main"), |lab| {
        lab.switch("main").set(&["/cast/$order=[\"p2\", \"p1\"]"]);
        lab.finish_with("billing");
        let fields = ["/cast/[person=p2]".parse().unwrap()];
        let edit = |field| ottvc_repo::meta::FieldEdit { field, value: None };
        let edits: Vec<_> = fields.into_iter().map(edit).collect();
        lab.repo.edit_fields(lab.repo.root(), EDITION, &edits).unwrap();
        lab.finish_with("no pilot");
    });
    month.day(
        "15: nothing moves",
        |_| false,
        |lab| {
            let report = lab.propagate("main", &["**"]);
            assert!(!report.moved && report.conflicts == 1);
            let stays = |row: &&ottvc_repo::plan::TargetRow| row.state == TargetState::ParentStays;
            assert_eq!(report.targets.iter().filter(stays).count(), 4, "what is below it stays");
        },
    );
    month.day(
        "15: the others first",
        |name| !name.contains("air"),
        |lab| {
            let partial = Carrying { partial: true, ..Carrying::default() };
            let report = lab.try_propagate("main", &["**"], &partial).unwrap();
            assert_eq!(report.targets.iter().filter(|row| row.commit.is_some()).count(), 25);
        },
    );
    month.day("16: the airline decides", one("cut/airline"), |lab| {
        let allowed = Carrying { allow_conflicts: true, ..Carrying::default() };
        assert!(lab.try_propagate("main", &["cut/airline"], &allowed).unwrap().moved);
        lab.switch("cut/airline").settle(Some(EDITION), Choice::Ours);
        lab.finish_with("the engineer stays aboard");
    });
    month.day(
        "16: and its regions have that already",
        |_| false,
        |lab| {
            let report = lab.propagate("cut/airline", &["air/*"]);
            assert!(report.targets.iter().all(|row| row.state == TargetState::UpToDate));
        },
    );
    assert_eq!(month.field("air/be", "/cast/[person=p2]/character").unwrap(), "\"Engineer\"");
    assert_eq!(month.field("tv/be", "/cast/[person=p2]/character"), None);

    // One fix of one field, to editions of two families; one had its own opinion.
    month.day("19: a title for France", one("tv/fr"), |lab| {
        lab.change("tv/fr", &["/title/@fr=\"Lumières du Nord\""]);
    });
    month.day(
        "20: elsewhere, too",
        |name| ["director/fr", "tv/be"].contains(&name),
        |lab| {
            lab.change("tv/be", &["/title/@fr=\"Aurore\""]);
            let request = PushRequest {
                rev: "tv/fr".into(),
                fields: vec!["/title".parse().unwrap()],
                to: vec!["*/fr".into(), "tv/be".into()],
                ..PushRequest::default()
            };
            let report = lab.push(&request);
            assert_eq!(report.totals.get("diverged"), Some(&2), "none had the title before");
            let reason = Some("one title in French".to_owned());
            let forced = PushRequest { diverged: Diverged::Force, reason, ..request };
            assert!(lab.push(&forced).moved);
        },
    );
    for edition in ["director/fr", "tv/be", "tv/fr"] {
        assert_eq!(month.field(edition, "/title/@fr").unwrap(), "\"Lumières du Nord\"");
    }

    // A censor's edition, from a working branch that meets the edition it came from.
    month.day("23: a cut for one region", one("tv/pl"), |lab| {
        lab.switch("tv/pl");
        lab.repo.switch("work/pl", true, false, &Silent).unwrap();
        lab.set(&["/rating=\"18\"", "/advisories={\"$set\": [\"violence\"]}"]);
        lab.write("feature.mp4", noise(9, 18_000)).commit("Censored");
        lab.change("tv/pl", &["/rating=\"16\""]);
        let rules: Vec<Rule> = vec!["/rating=theirs".parse().unwrap()];
        let request = MergeRequest { rules, ..MergeRequest::default() };
        assert!(lab.repo.merge("work/pl", &request, &Silent).unwrap().clean);
    });
    month.day(
        "24: ratings for all",
        |_| true,
        |lab| {
            lab.change("main", &["/rating=\"14\""]);
            propagate_all(lab);
        },
    );
    for (edition, rating) in
        [("tv/pl", "\"18\""), ("tv/de", "\"16\""), ("air/de", "\"6\""), ("director/de", "\"14\"")]
    {
        assert_eq!(month.field(edition, "/rating").unwrap(), rating, "{edition}");
    }
    month.day("25: Germany follows again", one("tv/de"), |lab| {
        lab.switch("tv/de").reset("/rating").unwrap();
        lab.finish_with("as everywhere");
    });
    assert_eq!(month.field("tv/de", "/rating").unwrap(), "\"14\"");

    month.day(
        "28: what does not fit is refused",
        |_| false,
        |lab| {
            lab.switch("tv/se").write(EDITION, r#"{"title": "half written"}"#);
            let refused = lab.try_propagate("main~2", &["tv/*"], &Carrying::default()).unwrap();
            assert!(!refused.moved, "never backwards");
            lab.write(EDITION, lab.cat("tv/se", EDITION));
            let options = CommitOptions { message: Some("x".into()), ..CommitOptions::default() };
            let nothing = lab.repo.record(lab.repo.root(), &options, &Silent);
            assert!(matches!(nothing, Err(RepoError::NothingToCommit)));
        },
    );
    // At the end nobody lags behind, media were never touched, and everything reads back.
    let rows = month.lab.repo.lineage(None, true).unwrap();
    assert!(rows.iter().all(|row| row.lacks.is_none()), "{rows:#?}");
    assert_eq!(month.lab.cat("tv/it", "feature.mp4"), noise(7, 21_000));
    assert_eq!(month.lab.cat("air/de", "feature.mp4"), noise(1, 20_000));
    let report = month.lab.repo.verify(ottvc_repo::verify::Reading::Everything, &Silent).unwrap();
    assert!(report.damaged.is_empty() && report.missing.is_empty());
}
