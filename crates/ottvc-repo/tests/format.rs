//! Operations, refs and workspace states to the byte, as a second reading of `docs/format-pack.md` has
//! them in the records of a pack (`fixtures/golden.py`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use ottvc_object::codec::{decode_body, encode_body};
use ottvc_object::{CommitId, EditionId, RepoPath, TreeId};
use ottvc_refs::{Edition, Operation, RefEdit, RefName, RefValue};
use ottvc_repo::workspace::{Head, Merging, State, Touched};
use ottvc_store::pack::{RecordKind, scan};

const GOLDEN: &[u8] = include_bytes!("../../../fixtures/golden.pack");

/// The raw bytes of the golden record of this kind, which none is compressed.
fn golden(kind: RecordKind) -> &'static [u8] {
    let found = scan("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf".parse().unwrap(), GOLDEN);
    let record = found.records.into_iter().find(|record| record.header.kind == kind).unwrap();
    record.payload(GOLDEN).unwrap()
}

fn sixteen() -> [u8; 16] {
    std::array::from_fn(|at| u8::try_from(at).unwrap())
}

#[test]
fn an_operation_is_what_the_page_says() {
    let edition =
        Edition { id: EditionId(sixteen()), class: Some("director".into()), territory: None };
    let branch = RefValue { target: Some(CommitId([1; 32])), edition: Some(edition) };
    let tag = RefValue { target: Some(CommitId([2; 32])), edition: None };
    let operation = Operation {
        id: 300,
        write_id: sixteen(),
        edits: vec![
            RefEdit { name: RefName::branch("main").unwrap(), old: None, new: Some(branch) },
            RefEdit { name: RefName::tag("v1/final").unwrap(), old: Some(tag), new: None },
        ],
        command: "commit".into(),
        summary: "First cut".into(),
        actor: "Ana".into(),
        time: 1_700_000_000_000,
        undoes: Some(299),
    };
    let golden = golden(RecordKind::Operation);
    assert_eq!(encode_body(&operation).unwrap(), golden);
    assert_eq!(decode_body::<Operation>(golden, "operation").unwrap(), operation);
}

#[test]
fn a_workspace_state_is_what_the_page_says() {
    let state = State {
        head: Head::Branch(RefName::branch("main").unwrap()),
        edition: Some(EditionId(sixteen())),
        staged: TreeId([4; 32]),
        merging: Some(Merging {
            ours: CommitId([1; 32]),
            theirs: CommitId([2; 32]),
            theirs_name: "regional".into(),
            bases: vec![CommitId([3; 32])],
            rules: vec!["*=ours".into()],
            message: Some("why".into()),
        }),
        suspects: vec![RepoPath::new("a/b").unwrap()],
        touched: None,
    };
    let (number, golden) = golden(RecordKind::Workspace).split_at(8);
    assert_eq!(number, 12_u64.to_le_bytes());
    assert_eq!(state.to_bytes().unwrap(), golden);
    assert_eq!(State::from_bytes(golden).unwrap(), state);
    // What is staged about layers is 64 bytes behind all that.
    let touched = Touched { base: CommitId([5; 32]), own: TreeId([6; 32]) };
    let state = State { touched: Some(touched), ..state };
    let bytes = state.to_bytes().unwrap();
    assert_eq!(bytes, [golden, &[5; 32], &[6; 32]].concat());
    assert_eq!(State::from_bytes(&bytes).unwrap(), state);
    assert!(State::from_bytes(&bytes[..bytes.len() - 1]).is_err());
}
