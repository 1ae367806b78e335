//! The cases of `fixtures/merge-cases.json` that take a repository: a change pushed to editions in one
//! transaction (65), and a pin moved for editions of which one moved meanwhile (66).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use common::layers::{EDITION, outcomes, row};
use ottvc_merge::layers::Diverged;
use ottvc_object::RepoPath;
use ottvc_object::value::Value;
use ottvc_refs::RefKind;
use ottvc_repo::Silent;
use ottvc_repo::plan::Carrying;
use ottvc_repo::push::PushRequest;
use ottvc_testkit::cases::{self, document};
use serde_json::Value as Json;

impl Lab {
    /// Has a branch come to this document.
    fn comes_to(&self, branch: &str, json: &Json) {
        if self.switch(branch).shows(branch) != document(json) {
            self.write(EDITION, json.to_string()).commit("as the case says");
        }
    }

    fn shows(&self, branch: &str) -> Option<Value> {
        let path = RepoPath::new(EDITION).unwrap();
        self.repo.document(branch, &path).ok().map(|document| document.value().clone())
    }

    fn heads(&self) -> Vec<(String, Option<String>)> {
        let rows = self.repo.list_refs(RefKind::Branch).unwrap();
        rows.into_iter().map(|row| (row.name, row.commit)).collect()
    }
}

/// A lab whose branch `main` has this document.
fn master(json: &Json) -> Lab {
    let lab = Lab::new();
    lab.write(EDITION, json.to_string()).commit("master");
    lab
}

/// Branches for so many editions.
fn names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("edition-{number}")).collect()
}

#[test]
fn a_change_is_pushed_to_editions_in_one_transaction() {
    let file = cases::file();
    let pushes = cases::of(&file["layers"]["push"]);
    let played: Vec<&Json> =
        pushes.iter().filter(|case| cases::name(case).starts_with("65")).collect();
    assert_eq!(played.len(), 3);
    for case in played {
        let name = cases::name(case);
        let targets = cases::of(&case["targets"]);
        let lab = master(&case["before"]);
        let names = names(targets.len());
        for (branch, target) in names.iter().zip(targets) {
            lab.switch("main").branch(branch).comes_to(branch, &target["document"]);
        }
        lab.comes_to("main", &case["after"]);
        let before = lab.heads();

        let diverged = match case["diverged"].as_str() {
            Some("conflict") => Diverged::Conflict,
            Some("force") => Diverged::Force,
            _ => Diverged::Keep,
        };
        let request = PushRequest {
            rev: "main".into(),
            to: names.clone(),
            diverged,
            reason: Some("the title was wrong".into()),
            ..PushRequest::default()
        };
        let plan = lab.repo.plan_push(&request).unwrap();
        let carrying = Carrying { allow_conflicts: true, ..Carrying::default() };
        let report = lab.repo.carry_out_plan(&plan, &carrying, &Silent).unwrap();
        drop(plan);
        for (branch, target) in names.iter().zip(targets) {
            let told = outcomes(row(&report, branch));
            let told: Json = told.into_iter().map(|(field, it)| (field, Json::from(it))).collect();
            assert_eq!(told, target["outcomes"], "case {name}, {branch}");
            assert_eq!(lab.shows(branch), document(&target["result"]), "case {name}, {branch}");
        }
        // One transaction: one undo takes all of it back.
        lab.repo.undo(None, &Silent).unwrap();
        assert_eq!(lab.heads(), before, "case {name}");
    }
}

#[test]
fn nothing_moves_where_one_head_moved_meanwhile() {
    let file = cases::file();
    for case in cases::of(&file["layers"]["race"]) {
        let name = cases::name(case);
        let count = usize::try_from(case["editions"].as_u64().unwrap()).unwrap();
        let names = names(count);
        let lab = master(&case["old"]);
        for branch in &names {
            lab.edition(branch, "main");
        }
        lab.comes_to("main", &case["new"]);
        let plan = lab.repo.plan_propagation("main", &names, None).unwrap();

        let there = case["meanwhile"]["edition"].as_u64().unwrap();
        let there = format!("edition-{there}");
        lab.comes_to(&there, &case["meanwhile"]["document"]);
        let before = lab.heads();
        let refused = lab.repo.carry_out_plan(&plan, &Carrying::default(), &Silent).unwrap_err();
        assert_eq!(refused.code(), case["error"], "case {name}");
        assert_eq!(lab.heads(), before, "case {name}");
        drop(plan);
        assert!(lab.is_clean(), "case {name}");

        let again = lab.repo.plan_propagation("main", &names, None).unwrap();
        lab.repo.carry_out_plan(&again, &Carrying::default(), &Silent).unwrap();
        for branch in &names {
            let result = if *branch == there { &case["result_there"] } else { &case["result"] };
            assert_eq!(lab.shows(branch), document(result), "case {name}, {branch}");
        }
    }
}
