//! The program itself: settings, `doctor`, help and manual, and the options every command takes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::{Lab, Ran, shape};

/// Every command there is, as `help` lists them.
fn commands(lab: &Lab) -> Vec<String> {
    let help = lab.ok("--help");
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let lines = list.lines().take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn config_lists_reads_and_changes_settings() {
    let lab = Lab::repo();
    let told = lab.tell([
        "config",
        "config set user.name Ana",
        "config set lock.wait 2m --user",
        "config get user.name",
        "config get user.email",
        "config list",
        "config unset user.name",
        "config unset user.name",
    ]);
    insta::assert_snapshot!(told, @"
    $ ottvc config
    user.name         not set: who commits are by
    user.email        not set: the address that goes with it
    repo.title        Northern Light  (repository)
    lock.wait         not set, so 10s: how long to wait for another command
    ingest.jobs       not set, so one a processor: threads that hash and compress
    ingest.tracks     not set, so on: whether media is kept track by track
    branch.protected  not set: branches that take no conflicts and are not removed
    merge.memory      not set, so suggest: what becomes of a conflict that was settled before
    memory.days       not set, so 90: how long that lasts if nobody uses it
    core.editor       not set, so $VISUAL, $EDITOR: command that opens a file for editing
    ui.color          not set, so auto: when to use colour
    you act as Ana <ana@example.com>
    $ ottvc config set user.name Ana
    user.name = Ana
    $ ottvc config set lock.wait 2m --user
    lock.wait = 2m
    $ ottvc config get user.name
    Ana
    $ ottvc config get user.email
    [status 1]
    $ ottvc config list
    user.name         Ana  (repository)
    user.email        not set: the address that goes with it
    repo.title        Northern Light  (repository)
    lock.wait         2m  (user)
    ingest.jobs       not set, so one a processor: threads that hash and compress
    ingest.tracks     not set, so on: whether media is kept track by track
    branch.protected  not set: branches that take no conflicts and are not removed
    merge.memory      not set, so suggest: what becomes of a conflict that was settled before
    memory.days       not set, so 90: how long that lasts if nobody uses it
    core.editor       not set, so $VISUAL, $EDITOR: command that opens a file for editing
    ui.color          not set, so auto: when to use colour
    you act as Ana <ana@example.com>
    $ ottvc config unset user.name
    user.name removed
    $ ottvc config unset user.name
    user.name was not set
    ");
    insta::assert_snapshot!(lab.shape("config"), @"{actor: text, settings: [{default: text, key: text, origin: text, value: null}]}");
    insta::assert_snapshot!(lab.json("config get lock.wait").1, @r#"{"default":"10s","key":"lock.wait","origin":"user","value":"2m"}"#);
    insta::assert_snapshot!(lab.json("config set ingest.jobs 2").1, @r#"{"key":"ingest.jobs","value":"2"}"#);
    insta::assert_snapshot!(lab.json("config unset ingest.jobs").1, @r#"{"key":"ingest.jobs","removed":true}"#);
    insta::assert_snapshot!(lab.refused(2, "config.unknown_key", "config set user.nmae Ana"), @"
    error: no setting is called `user.nmae`
    hint: did you mean `user.name`?
    ");
    insta::assert_snapshot!(lab.refused(2, "config.bad_value", "config set ui.color blue"), @"
    error: `blue` is no value for ui.color: write auto, always or never
    hint: `ottvc config --help` says what it takes
    ");
}

#[test]
fn the_author_comes_from_the_settings() {
    let lab = Lab::repo();
    lab.ok("config set user.name 'Ben' --user");
    lab.ok("config set user.email ben@example.com");
    let ran = lab.command("commit -m x --allow-empty").env_remove("OTTVC_AUTHOR").output().unwrap();
    assert!(ran.status.success());
    assert_eq!(lab.history()["commits"][0]["author"], "Ben <ben@example.com>");
}

#[test]
fn a_broken_settings_file_is_named_with_its_line() {
    let lab = Lab::film();
    lab.write(".ottvc/config.toml", "[user]\nname = \n");
    insta::assert_snapshot!(lab.refused(1, "config.bad_file", "status"), @"
    error: cannot read the settings in [lab]/work/.ottvc/config.toml
    cause: TOML parse error at line 2, column 8: string values must be quoted, expected literal string
    hint: mend or remove that line
    ");
    lab.write(".ottvc/config.toml", "");
    assert_eq!(lab.json("status").1["clean"], true);
}

#[test]
fn doctor_looks_for_trouble() {
    let lab = Lab::film();
    lab.ok("config set ingest.jobs 2");
    let (_, looked) = lab.json("doctor");
    insta::assert_snapshot!(shape(&looked), @"{checks: [{detail: text, health: text, name: text}], healthy: bool, path: text}");
    insta::with_settings!({filters => vec![(r"\d[\d.]* [KMGT]iB", "[size]"), (r"(tells|takes) names.*", "[case]"), (r"warn(  disk)", "ok  $1")]}, {
        insta::assert_snapshot!(lab.run("doctor").out, @"
        ok    settings     you are Ana <ana@example.com>; 2 threads, waits 10 s for others
        ok    store        format 1; [size] in 2 packs
        ok    refs         1 branch or tag leads to a commit
        ok    files        0 changes, 0 untracked
        ok    disk         [size] free
        ok    access       the store can be written to
        ok    file system  [case]
        ");
    });
    let (_, repaired) = lab.json("doctor --repair");
    assert_eq!(repaired["checks"][0]["name"], "repair");
    assert_eq!(lab.json("verify").0, 0);
}

#[test]
fn doctor_ends_with_7_if_there_is_trouble() {
    let lab = Lab::film();
    lab.write(".ottvc/config.toml", "[lock]\nwait = \"soon\"\n");
    let doctor =
        |line: &str| Ran::from(lab.command(line).env_remove("OTTVC_LOCK_WAIT").output().unwrap());
    let ran = doctor("doctor -q");
    assert!(ran.out.starts_with("fail  settings "), "{ran}");
    assert_eq!(ran.status, 7);
    let looked: serde_json::Value = serde_json::from_str(&doctor("doctor --json").out).unwrap();
    assert_eq!(looked["healthy"], false);
}

#[test]
fn version_names_program_and_format() {
    let lab = Lab::new();
    insta::assert_snapshot!(lab.tell(["version", "--version"]), @"
    $ ottvc version
    ottvc 0.1.0 (format 1)
    $ ottvc --version
    ottvc 0.1.0
    ");
    insta::assert_snapshot!(lab.shape("version"), @"{format: number, merge_engine: number, version: text}");
}

#[test]
fn help_of_every_command_fits_the_screen() {
    let lab = Lab::new();
    let commands = commands(&lab);
    assert_eq!(commands.len(), 39, "{commands:?}");
    for command in &commands {
        for line in [format!("help {command}"), format!("man {command}")] {
            if line != "man help" && line != "help help" {
                assert!(!lab.ok(&line).is_empty());
            }
        }
        if command != "help" {
            let help = lab.ok(&format!("{command} --help"));
            assert!(help.contains("Usage: ottvc "), "{help}");
            assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        }
    }
    insta::assert_snapshot!(lab.ok("-h"), @"
    Version control for media: masters, editions, and what is known about them

    Usage: ottvc [OPTIONS] <COMMAND>

    Commands:
      init         Make a repository
      status       Show what is staged, changed and in conflict, and the next step
      add          Store files and stage them
      rm           Remove files and stage that
      mv           Rename a file or folder and stage that
      restore      Give files and documents back, as they are staged or as a revision has them
      commit       Record what is staged
      log          Show history
      show         Show one commit and its changes
      branch       List, make, delete or rename branches; a branch is an edition
      tag          List, make or delete tags
      switch       Move the working copy to a branch
      checkout     Write files of a revision out to any folder
      cat          Write a file of a revision to standard output
      ls           List the entries of a revision
      diff         Show what differs: documents by field, media by byte range
      merge        Merge a revision into the current branch
      conflicts    List conflicts, with what base, ours and theirs have
      resolve      Settle conflicts
      merge-file   Merge three JSON files by field
      meta         Read and change metadata documents
      propagate    Move editions on to a newer state of what they inherit from
      apply        Push the change of one commit to other editions, field by field
      lineage      Show editions as a tree, what is each one's own, and who lags behind
      import       Take in what a source delivers: Dublin Core, EBUCore, PBCore, MEC, OMC, IMF, tables
      export       Write a metadata document in a foreign format
      audit        Show who holds which bytes; list hashes and make proofs for others
      gc           Remove what nothing reaches any more, in two steps
      rechunk      Keep stored files as new ones would be kept
      trash        List what collection put aside, and take it back
      verify       Read back and check every byte, object and reference
      undo         Take back the last operation, or a given one
      ops          List operations: every command that moved a branch or tag
      config       List, read and change settings
      doctor       Look for trouble, and mend the index
      completions  Print a completion script for a shell
      man          Print the manual
      version      Print the version
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help (see more with '--help')
      -V, --version  Print version

    Everywhere:
      -C <DIR>              Run as if started in DIR
          --repo <DIR>      Use the repository in DIR
          --json            Answer with one JSON object, errors too
      -q, --quiet           Leave out reports and progress
          --color <WHEN>    When to use colour [default: auto]
          --progress <HOW>  How to show progress: auto, json or never

    REV is a branch, a tag, a commit id or the first 8 digits of one, or HEAD; REV~2 is two commits
    before it, REV^2 its second parent. REV:PATH is a path in it.
    ");
    insta::assert_snapshot!(lab.ok("help merge"), @"
    Merge a revision into the current branch

    Usage: ottvc merge [OPTIONS] [REV]

    Arguments:
      [REV]  What to merge

    Options:
          --dry-run              Say what the merge would come to, and change nothing
          --rule <PATTERN=SIDE>  Take a side where both disagree: '/ratings/**=theirs',
                                 'trailers/**=ours'; may be repeated
      -m, --message <MESSAGE>    Message of the merge commit
          --allow-conflicts      Commit although conflicts are left; they can be settled later. A
                                 protected branch takes none
          --allow-unrelated      Merge histories that share no commit
          --abort                Give up the merge that is not finished
      -h, --help                 Print help

    Everywhere:
      -C <DIR>              Run as if started in DIR
          --repo <DIR>      Use the repository in DIR
          --json            Answer with one JSON object, errors too
      -q, --quiet           Leave out reports and progress
          --color <WHEN>    When to use colour [default: auto]
          --progress <HOW>  How to show progress: auto, json or never
    ");
}

#[test]
fn completions_and_manual_know_every_command() {
    let lab = Lab::new();
    let commands = commands(&lab);
    for shell in ["bash", "zsh", "fish"] {
        let script = lab.ok(&format!("completions {shell}"));
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}");
    }
    let manual = lab.ok("man");
    for command in commands.iter().filter(|it| *it != "help") {
        let heading = format!(".SH \"OTTVC {}\"", command.to_uppercase());
        assert!(manual.contains(&heading), "{heading}");
    }
    assert!(lab.ok("man meta set").contains(".TH ottvc-meta-set 1"));
    assert!(manual.contains(".SH \"OTTVC META SET\""));
    insta::assert_snapshot!(lab.shape("completions bash"), @"{script: text, shell: text}");
    insta::assert_snapshot!(lab.shape("man merge"), @"{command: [text], page: text}");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "man mrege"), @"
    error: there is no command `mrege`
    hint: did you mean `merge`?
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "completions tcsh"), @"
    error: invalid value 'tcsh' for '<SHELL>' [possible values: bash, elvish, fish, powershell, zsh]
    hint: `ottvc help completions` says what it takes
    ");
}

#[test]
fn the_repository_can_be_named_from_elsewhere() {
    let lab = Lab::film();
    lab.write("notes/a.txt", "a");
    let elsewhere = |line: &str| {
        Ran::from(lab.command(line).current_dir(lab.beside.join("home")).output().unwrap())
    };
    assert_eq!(elsewhere("-C ../work log -n 1").status, 0);
    assert_eq!(elsewhere("--repo ../work log -n 1").status, 0);
    assert_eq!(elsewhere("--repo ../work/.ottvc log -n 1").status, 0);
    assert_eq!(elsewhere("-C ../work/notes add a.txt").status, 0);
    assert_eq!(lab.json("status").1["staged"][0]["path"], "notes/a.txt");
    insta::assert_snapshot!(lab.refused(3, "input.not_found", "-C nowhere status"), @"
    error: there is no `nowhere`
    hint: check the path
    ");
    insta::assert_snapshot!(lab.refused(9, "argument.no_network", "--repo http://media.example.com/nl log"), @"
    error: `http://media.example.com/nl` is not on this machine
    hint: this release works on repositories of this machine: give a folder
    ");
}

#[test]
fn colour_is_for_terminals_or_on_demand() {
    let lab = Lab::film();
    assert!(!lab.ok("log").contains('\u{1b}'));
    assert!(lab.ok("log --color always").contains('\u{1b}'));
    assert!(!lab.ok("log --color always --json").contains('\u{1b}'));
    assert!(!lab.ok("log --color never").contains('\u{1b}'));
    let plain = lab.command("log").env("NO_COLOR", "1").output().unwrap();
    assert!(!plain.stdout.contains(&0x1b));
}

#[test]
fn progress_as_json_lines_goes_to_stderr() {
    let lab = Lab::repo();
    lab.write("feature.mp4", common::noise(1, 100_000));
    let ran = lab.run("add . --progress json");
    assert!(!ran.err.is_empty());
    for line in ran.err.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(shape(&line), "{done: number, step: text, total: number}");
    }
}

#[test]
fn names_of_others_do_not_steer_the_terminal() {
    let lab = Lab::repo();
    lab.ok("commit --allow-empty -m '\u{1b}[31mred\u{7}' --author 'Eve <eve@example.com>'");
    for line in ["log", "show", "branch", "ops"] {
        assert!(!lab.ok(line).contains(['\u{1b}', '\u{7}']), "{line}");
    }
}
