//! Keeps the pages together: every link in the README and in `docs/` leads to a file.
//!
//! That the table of error codes is the one in the code is checked beside the code, in `ottvc-cli`.

use std::path::Path;

use ottvc_tests::{files, read, root};

/// Returns where the links of a Markdown page lead, without what stands in code.
fn links(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_fence = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        }
        if !in_fence {
            let mut rest = line;
            while let Some((_, after)) = rest.split_once("](") {
                let (target, after) = after.split_once(')').unwrap_or((after, ""));
                found.push(target.to_owned());
                rest = after;
            }
        }
    }
    found
}

/// Returns the links of `page`, which lies in `folder`, that lead to no file of the project.
fn dead_links(folder: &Path, page: &str) -> Vec<String> {
    let local = |target: &String| !target.contains("://") && !target.starts_with('#');
    let leads_nowhere = |target: &String| {
        let file = target.split('#').next().unwrap_or_default();
        !folder.join(file).exists()
    };
    links(page).into_iter().filter(local).filter(leads_nowhere).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut pages = files("docs", "md");
    pages.push("README.md".into());
    let mut dead = Vec::new();
    for page in pages {
        let folder = root().join(page.parent().unwrap_or(Path::new("")));
        let found = dead_links(&folder, &read(&page));
        dead.extend(found.into_iter().map(|link| format!("{}: {link}", page.display())));
    }
    assert!(dead.is_empty(), "\n{}", dead.join("\n"));
}

/// The same check on an invented page: it must be able to fail.
#[test]
fn a_dead_link_is_found() {
    let page = "See [here](README.md#Install), [there](nowhere.md), [web](https://example.com).\n\
                ```\n[in code](gone.md)\n```\n";
    assert_eq!(dead_links(&root(), page), ["nowhere.md"]);
}
