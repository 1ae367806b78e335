//! What people read of documents and conflicts on a terminal, and settling conflicts in an editor.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use common::{Lab, OTTVC, Ran};
use serde_json::json;

/// Puts an editor beside the working copy: a shell script that is handed the file.
fn editor(lab: &Lab, script: &str) -> String {
    let path = lab.beside.join("editor");
    std::io::Write::write_all(
        &mut std::fs::File::create(&path).unwrap(),
        format!("#!/bin/sh\n{script}\n").as_bytes(),
    )
    .unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn edit(lab: &Lab, script: &str, line: &str) -> Ran {
    let editor = editor(lab, script);
    lab.command(line).env("EDITOR", editor).output().unwrap().into()
}

/// The file that an error says what was typed is kept in.
fn kept(ran: &Ran) -> PathBuf {
    let hint = ran.err.lines().find(|line| line.starts_with("hint:")).unwrap();
    let path = hint.split("--from ").nth(1).unwrap().split('`').next().unwrap();
    PathBuf::from(path)
}

/// Two editions that disagree about a rating and a synopsis, in the middle of their merge.
fn disputed() -> Lab {
    let lab = Lab::film();
    let synopsis =
        |who: &str| format!("A young {who} leaves home. She finds a map, and on it a star.");
    let set = |rating: &str, who: &str| {
        format!(
            "meta set edition.meta.json '/rating=\"{rating}\"' '/synopsis=\"{}\"'",
            synopsis(who)
        )
    };
    lab.ok(&set("12", "hero"));
    lab.ok("commit -m Synopsis");
    lab.ok("switch -c regional/de");
    lab.ok(&set("16", "thief"));
    lab.ok("commit -m German");
    lab.ok("switch main");
    lab.ok(&set("18", "pilot"));
    lab.ok("commit -m Pilot");
    assert_eq!(lab.run("merge regional/de").status, 4);
    lab
}

#[test]
fn conflicts_are_shown_between_marks_and_settled_by_what_is_left() {
    let lab = disputed();
    let before = lab.read("edition.meta.json");
    let shown = lab.beside.join("shown");
    let look = format!("cp \"$1\" '{}'", shown.display());
    insta::assert_snapshot!(edit(&lab, &look, "meta edit edition.meta.json"), @"edition.meta.json unchanged");
    insta::assert_snapshot!(std::fs::read_to_string(&shown).unwrap(), @r#"
    # 2 conflicts, each between <<<<<<< and >>>>>>>.
    # To settle one, leave the lines of one side and delete the marks and the other lines.
    # One whose lines all stay is left in conflict. Lines that begin with # are left out.
    {
    <<<<<<< ours (main) at /rating
      "rating": "18",
    ||||||| base
      "rating": "12",
    =======
      "rating": "16",
    >>>>>>> theirs (regional/de) at /rating
    <<<<<<< ours (main) at /synopsis
      "synopsis": "A young pilot leaves home. She finds a map, and on it a star.",
    ||||||| base
      "synopsis": "A young hero leaves home. She finds a map, and on it a star.",
    =======
      "synopsis": "A young thief leaves home. She finds a map, and on it a star.",
    >>>>>>> theirs (regional/de) at /synopsis
      "title": {
        "en": "Northern Light"
      }
    }
    "#);
    assert_eq!(lab.read("edition.meta.json"), before, "looking changes nothing");

    // Theirs of one, the other left alone.
    let theirs = "sed -i -e '/^<<<<<<<.*rating$/,/^=======$/d' -e '/^>>>>>>>.*rating$/d' \"$1\"";
    insta::assert_snapshot!(edit(&lab, theirs, "meta edit edition.meta.json"), @"
    edition.meta.json edited and staged
    1 conflict left; next: ottvc conflicts
    ");
    assert_eq!(lab.json("conflicts").1["conflicts"].as_array().unwrap().len(), 1);
    let both = "sed -i -e '/^[<|].*/d' -e '/^=======/,/^>>>>>>>/d' -e '/hero/d' -e '/pilot/s/pilot/ghost/' \"$1\"";
    insta::assert_snapshot!(edit(&lab, both, "meta edit edition.meta.json"), @"
    edition.meta.json edited and staged
    no conflicts left; next: ottvc status
    ");
    lab.ok("commit -q");
    let document = lab.json("meta get main").1["value"].clone();
    assert_eq!(document["rating"], "16");
    assert_eq!(
        document["synopsis"],
        "A young ghost leaves home. She finds a map, and on it a star."
    );
}

#[test]
fn under_a_schema_the_lines_are_plain_json_and_what_breaks_it_is_kept() {
    let lab = Lab::film();
    lab.ok("meta schema --use ott.edition/1");
    let film = |title: &str| {
        let json = r#"{"titles": {"en": "NAME"}, "genres": ["drama"], "year": 2026}"#;
        lab.write("edition.meta.json", json.replace("NAME", title));
    };
    film("Northern Light");
    lab.ok("add .");
    lab.ok("commit -m Schema");
    lab.ok("switch -c de");
    film("Nordlicht");
    lab.ok("commit -a -m German");
    lab.ok("switch main");
    film("Northern Lights");
    lab.ok("commit -a -m Lights");
    assert_eq!(lab.run("merge de").status, 4);

    let shown = lab.beside.join("shown");
    let wrong = format!(
        "cp \"$1\" '{}'; sed -i -e '/^[<|=]\\{{7\\}}/d' -e '/^>>>>>>>/d' -e '/Light\"/d' \
         -e '/Lights\"/d' -e 's/2026/1600/' \"$1\"",
        shown.display()
    );
    let ran = edit(&lab, &wrong, "meta edit edition.meta.json");
    let shown = std::fs::read_to_string(&shown).unwrap();
    let at = "    \"en\": \"Northern Lights\"\n||||||| base\n";
    assert!(shown.contains(at) && !shown.contains('$'), "{shown}");
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("/year") && !ran.err.contains("conflict"), "{ran}");
    let typed = kept(&ran);
    assert!(std::fs::read_to_string(&typed).unwrap().contains("1600"));
    assert_eq!(lab.json("conflicts").1["conflicts"].as_array().unwrap().len(), 1);

    let line = format!("meta edit edition.meta.json --from '{}'", typed.display());
    let ran = edit(&lab, "sed -i -e 's/1600/2027/' \"$1\"", &line);
    assert_eq!(ran.status, 0, "{ran}");
    assert_eq!(
        lab.read("edition.meta.json"),
        "{\n  \"genres\": [\n    \"drama\"\n  ],\n  \"titles\": {\n    \"en\": \"Nordlicht\"\n  },\n  \"year\": 2027\n}\n"
    );
    lab.ok("commit -q");
}

#[test]
fn what_was_typed_is_never_lost() {
    let lab = disputed();
    let before = lab.read("edition.meta.json");
    let half = "sed -i -e '/^=======$/d' -e 's/Northern/Southern/' \"$1\"";
    let ran = edit(&lab, half, "meta edit edition.meta.json");
    assert_eq!(ran.status, 1);
    let first = kept(&ran);
    insta::assert_snapshot!(ran, @"
    error: line 5 still has a mark of a conflict: <<<<<<< ours (main) at /rating
    hint: what you typed is kept: `ottvc meta edit edition.meta.json --from [lab]/home/[kept].meta.json` opens it again
    [status 1]
    ");
    assert!(std::fs::read_to_string(&first).unwrap().contains("Southern"));
    assert_eq!(lab.read("edition.meta.json"), before);

    // It goes on from there; what is no JSON is kept as well, and told of to programs.
    let again = format!("meta edit edition.meta.json --from '{}'", first.display());
    let ran = edit(&lab, "echo '{\"title\": ' > \"$1\"", &format!("{again} --json"));
    let problem: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    common::assert_problem(&problem, 1, "document.bad_json");
    let second = PathBuf::from(problem["kept"].as_str().unwrap());
    assert_eq!(std::fs::read_to_string(&second).unwrap(), "{\"title\": \n");
    let take = "sed -i -e '/^<<<<<<</d' -e '/^|||||||/,/^>>>>>>>/d' \"$1\"";
    let ran = edit(&lab, take, &again);
    assert_eq!(ran.status, 0, "{ran}");
    assert!(lab.read("edition.meta.json").contains("Southern"));
    assert_eq!(lab.json("conflicts").1, json!({ "conflicts": [] }));

    // An editor that fails after it has saved, and a file that somebody else changed meanwhile.
    let fails = edit(&lab, "echo '{\"a\": 1}' > \"$1\"; exit 3", "meta edit edition.meta.json");
    assert_eq!(
        (fails.status, std::fs::read_to_string(kept(&fails)).unwrap().as_str()),
        (1, "{\"a\": 1}\n")
    );
    let race = format!(
        "echo '{{\"a\": 1}}' > \"$1\"; echo '{{}}' > '{}'",
        lab.work.join("edition.meta.json").display()
    );
    let raced = edit(&lab, &race, "meta edit edition.meta.json");
    assert_eq!(
        (raced.status, std::fs::read_to_string(kept(&raced)).unwrap().as_str()),
        (6, "{\"a\": 1}\n")
    );
    assert_eq!(lab.read("edition.meta.json"), "{}\n");
}

#[test]
fn the_width_of_the_terminal_is_kept_to() {
    let lab = disputed();
    let at = |columns: &str, line: &str| -> Ran {
        lab.command(line).env("COLUMNS", columns).output().unwrap().into()
    };
    insta::assert_snapshot!(at("40", "conflicts"), @r#"
    edition.meta.json
      /rating  changed on both sides
        base                  "12"
        ours (main)           "18"
        theirs (regional/de)  "16"
        settle:
          ottvc resolve 'edition.meta.json#/rating' --take ours
          (or theirs, base, --value JSON)
      /synopsis  changed on both sides
        base
          "A young hero lea… (62 characters)
        ours (main)
          A young [-hero-]{+pilot+} leaves
          home. …
        theirs (regional/de)
          A young [-hero-]{+thief+} leaves
          home. …
        settle:
          ottvc resolve 'edition.meta.json#/synopsis' --take ours
          (or theirs, base, --value JSON)
    "#);
    insta::assert_snapshot!(at("160", "conflicts"), @r#"
    edition.meta.json
      /rating  changed on both sides
        base                  "12"
        ours (main)           "18"
        theirs (regional/de)  "16"
        settle: ottvc resolve 'edition.meta.json#/rating' --take ours  (or theirs, base, --value JSON)
      /synopsis  changed on both sides
        base                  "A young hero leaves home. She finds a map, and on it a star."
        ours (main)           "A young pilot leaves home. She finds a map, and on it a star."
        theirs (regional/de)  "A young thief leaves home. She finds a map, and on it a star."
        settle: ottvc resolve 'edition.meta.json#/synopsis' --take ours  (or theirs, base, --value JSON)
    "#);
    insta::assert_snapshot!(at("60", "diff main~1 main"), @r#"
    modified  edition.meta.json
        /rating  "12" -> "18"
        /synopsis
          A young [-hero-]{+pilot+} leaves home. She finds …
    "#);
    let coloured = at("60", "diff main~1 main --color always").out;
    assert!(
        !coloured.contains("{+") && coloured.contains("\u{1b}[32mpilot\u{1b}[0m"),
        "{coloured}"
    );
}

#[test]
fn commands_name_the_path_from_where_the_user_is() {
    let lab = Lab::repo();
    lab.write("cuts/it's #1.meta.json", r#"{"rating": "12"}"#);
    lab.ok("add .");
    lab.ok("commit -m One");
    lab.ok("branch de");
    lab.write("cuts/it's #1.meta.json", r#"{"rating": "18"}"#);
    lab.ok("commit -a -m Main");
    lab.ok("switch de");
    lab.write("cuts/it's #1.meta.json", r#"{"rating": "16"}"#);
    lab.ok("commit -a -m German");
    let merge = lab.run("merge main");
    insta::assert_snapshot!(merge, @r#"
    merging main ([short id]): 1 path changed, 1 conflict

    cuts/it's #1.meta.json
      /rating  changed on both sides
        base           "12"
        ours (de)      "16"
        theirs (main)  "18"
        settle:
          ottvc resolve 'cuts/it'\''s #1.meta.json' --field /rating --take ours
          (or theirs, base, --value JSON)

    next: settle each as shown (ottvc meta edit 'cuts/it'\''s #1.meta.json' does it by hand), then ottvc commit, or ottvc merge --abort
    [status 4]
    "#);
    // Each command works as it is printed.
    let inside = lab.run("-C cuts conflicts").out;
    let command = inside.lines().find_map(|line| line.split("ottvc ").nth(1)).unwrap();
    assert_eq!(lab.run(&format!("-C cuts {command}")).status, 0, "{command}");
    assert_eq!(lab.json("conflicts").1, json!({ "conflicts": [] }));
}

#[test]
fn a_file_with_a_hash_in_its_name_can_be_settled() {
    let lab = Lab::repo();
    let names = [("base", "main"), ("main's", "main"), ("German", "de")];
    for (at, (film, branch)) in names.into_iter().enumerate() {
        if at == 1 {
            lab.ok("branch de");
        }
        lab.ok(&format!("switch {branch}"));
        lab.write("reel #1.mp4", film);
        lab.ok("add .");
        lab.ok(&format!("commit -m {branch}"));
    }
    assert_eq!(lab.run("merge main").status, 4);
    let listed = lab.ok("conflicts");
    let command = listed.lines().find_map(|line| line.split("ottvc ").nth(1)).unwrap();
    let command = command.split("  (").next().unwrap();
    assert_eq!(lab.run(command).status, 0, "{command}");
    assert_eq!(lab.read("reel #1.mp4"), "German");
}

#[test]
fn merge_file_serves_other_programs() {
    let lab = Lab::new();
    lab.write(
        "base.json",
        r#"{"synopses": {"long": {"en": "A hero leaves."}}, "rating": "12", "plays": 1}"#,
    );
    lab.write(
        "ours.json",
        r#"{"synopses": {"long": {"en": "A pilot leaves."}}, "rating": "18", "plays": 2}"#,
    );
    lab.write(
        "theirs.json",
        r#"{"synopses": {"long": {"en": "A thief leaves."}}, "rating": "16", "plays": 1}"#,
    );
    let merge = "merge-file base.json ours.json theirs.json --schema ott.edition/1";
    let (status, answer) = lab.json(merge);
    assert_eq!(status, 4);
    let rows = answer["conflicts"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        let field = row["field"].as_str().unwrap().replace('@', "");
        assert_eq!(
            row["id"],
            answer["merged"].pointer(&field).unwrap()["$conflict"]["id"],
            "{field}"
        );
    }
    // As the document has them: prose is no tagged text.
    let told = |answer: &serde_json::Value, member: &str| {
        let rows = answer[member].as_array().unwrap();
        rows.iter().map(|row| row["ours"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(told(&answer, "conflicts"), [json!("18"), json!("A pilot leaves.")]);
    let ruled = lab.json(&format!("{merge} --rule '/**=theirs'")).1;
    assert_eq!(told(&ruled, "decisions"), [json!("18"), json!("A pilot leaves.")]);

    let private = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(lab.work.join("ours.json"), private).unwrap();
    let ran = lab.run(&format!("{merge} --output ours.json"));
    let mode = std::fs::metadata(lab.work.join("ours.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640, "who may read it stays");
    insta::assert_snapshot!(ran, @r#"
    conflict: /rating  changed on both sides: base "12", ours "18", theirs "16"
    conflict: /synopses/long/@en: base "A hero …, ours "A pilot…, theirs "A thief…
    [status 4]
    "#);
    let written: serde_json::Value = serde_json::from_str(&lab.read("ours.json")).unwrap();
    assert_eq!(written, answer["merged"]);
    // A file that is no JSON stays as it is, and so does the output.
    lab.write("ours.json", "{");
    assert_eq!(lab.run(&format!("{merge} -o ours.json")).status, 1);
    assert_eq!(lab.read("ours.json"), "{");
    let clean = "merge-file base.json base.json theirs.json";
    assert_eq!(lab.run(&format!("{clean} -o no/such/folder")).status, 1);
    // What is no file is written to, not put in place of.
    let piped = lab.run(&format!("{clean} -o /dev/stdout"));
    assert_eq!((piped.status, piped.out), (0, lab.ok(clean)));
}

/// Runs Git in the working copy for its status, output and errors; `None` if there is no Git.
fn git_in(lab: &Lab) -> Option<impl Fn(&str) -> (i32, String, String)> {
    let run = |line: &str| {
        let mut command = std::process::Command::new("git");
        command.args(shell_words::split(line).unwrap()).current_dir(&lab.work);
        command.env("HOME", lab.beside.join("home")).env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Ana");
            command.env(format!("GIT_{who}_EMAIL"), "ana@example.com");
        }
        command.output()
    };
    if run("--version").is_err() {
        eprintln!("there is no git, so nothing is tested");
        return None;
    }
    Some(move |line: &str| {
        let output = run(line).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    })
}

/// The driver as `docs/merge.md` has it.
fn driver() -> String {
    let merge = format!("'{OTTVC}' merge-file %O %A %B --output %A");
    let lines = "if [ \\$s = 1 ]; then git merge-file %A %O %B; else exit \\$s; fi";
    format!("config merge.ottvc.driver \"{merge}; s=\\$?\n{lines}\"")
}

#[test]
fn git_merges_documents_by_field() {
    let lab = Lab::new();
    let Some(git) = git_in(&lab) else { return };
    let git = |line: &str| {
        let (status, _, err) = git(line);
        (status, err)
    };
    // Files are as old as each other, so git tells them apart by their length.
    let document = |rating: &str, year: &str| {
        lab.write(
            "film.meta.json",
            format!("{{\"rating\": \"{rating}\", \"year\": \"{year}\"}}\n"),
        );
    };
    git("init -q -b main");
    git(&driver());
    lab.write(".gitattributes", "*.meta.json merge=ottvc\n");
    document("12", "2025");
    git("add .");
    git("commit -q -m base");
    git("switch -q -c de");
    document("FSK 16", "2025");
    git("commit -q -a -m de");
    git("switch -q main");
    document("12", "2026-01");
    git("commit -q -a -m main");

    // One line each for git, which would be a conflict there.
    let (status, err) = git("merge -q -m both de");
    assert_eq!(status, 0, "{err}");
    let merged: serde_json::Value = serde_json::from_str(&lab.read("film.meta.json")).unwrap();
    assert_eq!(merged, json!({ "rating": "FSK 16", "year": "2026-01" }));

    git("switch -q de");
    document("18", "2025");
    git("commit -q -a -m 18");
    git("switch -q main");
    document("6", "2026-01");
    git("commit -q -a -m 6");
    let (status, err) = git("merge -q -m both de");
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("conflict: /rating"), "{err}");
    let left: serde_json::Value = serde_json::from_str(&lab.read("film.meta.json")).unwrap();
    assert_eq!(left["year"], "2026-01");
    assert_eq!(left["rating"]["$conflict"]["terms"][0]["value"], "6");
}

#[test]
fn git_shows_only_the_lines_that_merged() {
    let lab = Lab::new();
    let Some(git) = git_in(&lab) else { return };
    let base = r##"{
    "$schema": "https://example.com/package.json",
    "version": "1.0.0",
    "name": "player",
    "scripts": { "test": "run", "build": "make" },
    "dependencies": {
        "zlib": "^1.2",
        "ansi": "~2.0"
    },
    "files": ["src", "bin"],
    "$defs": {"a": {"$ref": "#/b"}},
    "build": 12345678901234567890123,
    "limit": 1.50
}
"##;
    git("init -q -b main");
    git(&driver());
    lab.write(".gitattributes", "*.json merge=ottvc\n");
    lab.write("package.json", base);
    git("add .");
    git("commit -q -m base");
    git("switch -q -c deps");
    let mux = "\"zlib\": \"^1.2\",\n        \"mux\": \"1.0\",";
    let deps = |text: &str| text.replace("\"zlib\": \"^1.2\",", mux);
    lab.write("package.json", deps(base));
    git("commit -q -a -m deps");
    git("switch -q main");
    let ours = base.replace("\"^1.2\"", "\"^1.30\"").replace("1.0.0", "1.10.0");
    lab.write("package.json", &ours);
    git("commit -q -a -m main");
    // Neighbouring lines, which are a conflict for git.
    let (status, _, err) = git("merge -q -m both deps");
    assert_eq!(status, 0, "{err}");
    let merged = ours.replace("\"^1.30\",", "\"^1.30\",\n        \"mux\": \"1.0\",");
    assert_eq!(lab.read("package.json"), merged);
    assert_eq!(git("diff --numstat HEAD^1 HEAD").1, "1\t0\tpackage.json\n");
    assert_eq!(git("diff --numstat HEAD^2 HEAD").1, "2\t2\tpackage.json\n");

    git("switch -q deps");
    lab.write("package.json", deps(base).replace("[\"src\", \"bin\"]", "[\"src\"]"));
    git("commit -q -a -m files");
    git("switch -q main");
    lab.write("package.json", merged.replace("\"bin\"", "\"bin\", \"doc\""));
    git("commit -q -a -m files");
    assert_eq!(git("merge -q -m both deps").0, 1);
    let left = lab.read("package.json");
    let (before, after) = merged.split_once("[\"src\", \"bin\"]").unwrap();
    assert!(left.starts_with(&format!("{before}{{\n        \"$conflict\": {{\n")), "{left}");
    assert!(left.ends_with(&format!("\n        }}\n    }}{after}")), "{left}");
}

#[test]
fn git_merges_by_lines_what_is_no_json() {
    let lab = Lab::new();
    let Some(git) = git_in(&lab) else { return };
    let file = |first: u16, last: u16| {
        let lines = "  // comments are no JSON\n  \"b\": 2,\n  \"c\": 3,\n";
        lab.write("tsconfig.json", format!("{{\n  \"a\": {first},\n{lines}  \"d\": {last}\n}}\n"));
    };
    git("init -q -b main");
    git(&driver());
    lab.write(".gitattributes", "*.json merge=ottvc\n");
    file(1, 4);
    git("add .");
    git("commit -q -m base");
    git("switch -q -c cut");
    file(11, 4);
    git("commit -q -a -m cut");
    git("switch -q main");
    file(1, 444);
    git("commit -q -a -m main");
    let (status, _, err) = git("merge -q -m both cut");
    assert_eq!(status, 0, "{err}");
    let merged = lab.read("tsconfig.json");
    assert!(merged.contains("\"a\": 11,") && merged.contains("\"d\": 444"), "{merged}");
}

#[test]
fn merge_file_takes_any_json() {
    let lab = Lab::new();
    lab.write("base.json", "[1]");
    lab.write("ours.json", "[1, 2]");
    lab.write("theirs.json", "[1, 3]");
    let (status, answer) = lab.json("merge-file base.json ours.json theirs.json");
    assert_eq!((status, &answer["conflicts"][0]["field"]), (4, &json!("/")));
    assert_eq!(answer["merged"]["$conflict"]["kind"], "edit_edit");
    lab.write("base.json", r#"{"$ref": 1, "n": 12345678901234567890123}"#);
    lab.write("ours.json", r#"{"$ref": 2, "n": 12345678901234567890123}"#);
    lab.write("theirs.json", r#"{"$ref": 3, "n": 1.0, "$$x": []}"#);
    let rule = r"--rule '/\$ref=theirs'";
    let told = lab.ok(&format!("merge-file base.json ours.json theirs.json {rule}"));
    assert_eq!(told.trim_end(), r#"{"$ref": 3, "n": 1.0, "$$x": []}"#);
    let (_, answer) = lab.json(&format!("merge-file base.json base.json ours.json {rule}"));
    assert_eq!(answer["merged"].to_string(), r#"{"$ref":2,"n":12345678901234567890123}"#);
    // What is refused says where.
    lab.write("twice.json", "{\n  \"a\": 1,\n  \"a\": 2\n}");
    insta::assert_snapshot!(lab.refused(1, "document.bad_json", "merge-file base.json ours.json twice.json"), @"
    error: `twice.json` cannot be merged
    cause: not a metadata document at line 3, column 5: the key `a` comes twice
    hint: mend the JSON there, then repeat
    ");
    lab.write("long.json", format!("{{\"a\": [1{}]}}", "1".repeat(40)));
    insta::assert_snapshot!(lab.refused(1, "document.bad_value", "merge-file base.json ours.json long.json"), @"
    error: `long.json` cannot be merged
    cause: bad value at /a/#0: a number has over 34 significant digits
    hint: mend the JSON there, then repeat
    ");
}

#[test]
fn documents_may_name_what_describes_them() {
    let lab = Lab::repo();
    lab.ok("meta schema --use ott.edition/1");
    let text = "{\n  \"$schema\": \"./ott.edition-1.schema.json\",\n  \"genres\": [\n    \"drama\"\n  ]\n}\n";
    lab.write("trailer.meta.json", text);
    lab.ok("add .");
    lab.ok("commit -m described");
    lab.ok("meta set trailer.meta.json '/genres=[\"war\"]'");
    assert_eq!(lab.read("trailer.meta.json"), text.replace("drama", "war"));
    let told = lab.json(r"meta get trailer.meta.json '/\$schema'").1;
    assert_eq!(told["value"], "./ott.edition-1.schema.json");
}
