//! Merge rules from hostile text: refused, or written as they were read, and asked in finite time.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ottvc_merge::{MergeOptions, Rule};
use ottvc_object::{FieldPath, RepoPath};

fuzz_target!(|text: &str| {
    let rules: Vec<Rule> = text.lines().filter_map(|line| line.parse().ok()).collect();
    for rule in &rules {
        assert_eq!(rule.to_string().parse().ok().as_ref(), Some(rule));
    }
    let options = MergeOptions { rules, ..MergeOptions::default() };
    let deep = ["a"; 60].join("/");
    for file in ["", "a.meta.json", "trailers/a/b.mp4", &deep] {
        let file = RepoPath::new(file).expect("a path");
        options.rule_for(&file, None);
        for field in ["/", "/a", "/titles/@fr-FR", "/cast/[person=p1]/billing"] {
            options.rule_for(&file, Some(&field.parse::<FieldPath>().expect("a field path")));
        }
    }
});
