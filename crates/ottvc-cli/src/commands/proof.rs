//! `audit prove` and `audit check-proof`: what a commit names, shown to people without the repository.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use ottvc_repo::audit::proof::{Compared, MAX_PROOF_BYTES, Proof, Proved, Verdict};
use ottvc_repo::read::ByteRange;
use serde_json::json;

use crate::commands::files::rev_and_path;
use crate::context::{Context, Need};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show::{self, BAD, DIM, GOOD, ID, TITLE, paint};

/// Prove that a commit names a file, to anybody, offline
///
/// The proof is a JSON document with the objects on the way from the commit to the file, and for the
/// chunks of the file their place under its Merkle root. `ottvc audit check-proof` checks it without
/// the repository.
#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// The file, document or folder
    #[arg(value_name = "REV:PATH")]
    file: String,
    /// Only the chunks with these bytes, counted from 0, both ends included: A-B, A-, or -N
    #[arg(long, value_name = "A-B", allow_hyphen_values = true)]
    range: Option<String>,
    /// Write the proof to FILE
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Check a proof, without any repository
///
/// Says what is proved and what is only stated. Status 7 if the proof does not hold, or if MEDIA is not
/// the file it is about.
#[derive(Debug, Args)]
pub(crate) struct CheckProof {
    /// The proof, or - for standard input
    #[arg(value_name = "FILE")]
    proof: PathBuf,
    /// A file to compare: the whole file, or exactly the bytes of the chunks
    #[arg(long, value_name = "MEDIA")]
    file: Option<PathBuf>,
}

pub(crate) fn prove(context: &Context, out: &mut Out, args: &Prove) -> Result<Exit, CliError> {
    let repo = context.open(Need::Read)?.repo;
    let (rev, path) = rev_and_path(&args.file)?;
    let range = args.range.as_deref().map(str::parse::<ByteRange>).transpose()?;
    let proof = repo.prove(rev, &path, range)?;
    let text = proof.to_json()?;
    let Some(to) = &args.out else {
        // The proof is JSON, with `--json` or without.
        out.bytes()?.write_all(text.as_bytes()).map_err(CliError::Output)?;
        return Ok(Exit::Ok);
    };
    crate::out::write_file(&context.folder.join(to), &mut |file| file.write_all(text.as_bytes()))?;
    let answer = json!({
        "out": to.display().to_string(),
        "bytes": text.len(),
        "chunks": proof.has_chunks(),
    });
    context.report(out, &answer, |out| {
        let size = show::size(text.len() as u64);
        out.line(format!("proof of {} in {} ({size})", args.file, paint(TITLE, to.display())))
    })?;
    Ok(Exit::Ok)
}

pub(crate) fn check(context: &Context, out: &mut Out, args: &CheckProof) -> Result<Exit, CliError> {
    let proof = Proof::from_json(&read_proof(context, &args.proof)?)?;
    let proved = match proof.check() {
        Ok(proved) => proved,
        Err(broken) => {
            let answer = json!({ "holds": false, "why": broken.to_string() });
            context.answer(out, &answer, |out| {
                out.line(format!("{} {broken}", paint(BAD, "the proof does not hold:")))
            })?;
            return Ok(Exit::Findings);
        }
    };
    let compared = match &args.file {
        Some(media) => {
            let media = context.folder.join(media);
            let (file, len) = open(&media)?;
            Some(proved.compare(file, len)?)
        }
        None => None,
    };
    let holds = compared.as_ref().is_none_or(Compared::holds);
    let facts = Facts::of(&proved, compared.as_ref());
    let mut answer = json!(proved);
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("holds".into(), json!(holds));
        answer.insert("why".into(), json!(compared.as_ref().and_then(|it| it.why.as_deref())));
        answer.insert("file".into(), json!(compared));
        answer.insert("proved".into(), json!(facts.proved));
        answer.insert("not_proved".into(), json!(facts.not_proved));
    }
    context.answer(out, &answer, |out| print(out, &proved, compared.as_ref(), &facts))?;
    Ok(if holds { Exit::Ok } else { Exit::Findings })
}

/// What a proof shows and what it does not, in sentences.
struct Facts {
    proved: Vec<String>,
    not_proved: Vec<String>,
}

impl Facts {
    fn of(proved: &Proved, compared: Option<&Compared>) -> Self {
        let (path, commit) = (&proved.path, proved.commit.id);
        let whole = compared.is_some_and(|it| it.verdict == Verdict::Whole);
        let piece = compared.is_some_and(|it| it.verdict == Verdict::Piece);
        let mut facts = Self { proved: Vec::new(), not_proved: Vec::new() };
        let thing = match proved.kind {
            "media" => "the file with content id",
            "symlink" => "the symbolic link whose target has content id",
            "document" => "the document",
            "tree" => "the folder",
            _ => "the conflict",
        };
        let bytes = show::count(proved.bytes, "byte", "bytes");
        facts.proved.push(match proved.kind {
            "media" | "symlink" => {
                format!("commit {commit} has {thing} {}, {bytes}, at {path}", proved.id)
            }
            _ => format!("commit {commit} has {thing} {} at {path}", proved.id),
        });
        if whole {
            facts.proved.push("the file compared is exactly that".into());
        }
        if let Some(chunks) = &proved.chunks {
            let run = format!(
                "{} from byte {} on ({}, number {} of {})",
                show::count(chunks.length, "byte", "bytes"),
                chunks.offset,
                show::count(chunks.count, "chunk", "chunks"),
                show::grouped(chunks.first.saturating_add(1)),
                show::grouped(chunks.of),
            );
            facts.proved.push(format!(
                "manifest {} lists these chunks there, and its Merkle root {} is over them: {run}",
                chunks.manifest, chunks.merkle_root
            ));
            if piece {
                facts.proved.push("the bytes compared are those of these chunks".into());
            }
            let differs = compared.is_some_and(|it| it.differs.is_some());
            if whole && !differs {
                facts.proved.push("these chunks lie there in that file".into());
            } else {
                facts.not_proved.push(
                    "that the manifest is one of that file: no commit names a manifest, so this is \
                     the word of whoever made the proof, until the whole file is compared"
                        .into(),
                );
            }
        }
        facts.not_proved.push(
            "that the commit is the one you mean, and who made it: compare its id with one you have \
             from somebody you trust"
                .into(),
        );
        facts
    }
}

fn print(
    out: &mut Out,
    proved: &Proved,
    compared: Option<&Compared>,
    facts: &Facts,
) -> Result<(), CliError> {
    let commit = &proved.commit;
    match compared.filter(|it| !it.holds()) {
        None => out.line(paint(GOOD, "the proof holds"))?,
        Some(differs) => out.line(format!(
            "{} {}",
            paint(BAD, "the proof holds, but not for this file:"),
            differs.why.as_deref().unwrap_or_default()
        ))?,
    }
    out.line("")?;
    out.line(format!(
        "{} {}  {}  {}",
        paint(TITLE, "commit"),
        paint(ID, commit.id),
        show::local(commit.time),
        commit.author
    ))?;
    out.line(paint(DIM, format!("    {}", show::first_line(&commit.message))))?;
    out.line("")?;
    for (title, lines) in [("proved", &facts.proved), ("not proved", &facts.not_proved)] {
        out.line(paint(TITLE, title))?;
        for line in lines {
            out.line(format!("  - {line}"))?;
        }
    }
    Ok(())
}

/// Reads a proof; no further than a proof may be long, and a byte, so that it is found too long.
fn read_proof(context: &Context, path: &Path) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let limit = MAX_PROOF_BYTES as u64 + 1;
    let stdin = path.as_os_str() == "-";
    let disk = context.folder.join(path);
    let read = match stdin {
        true => std::io::stdin().lock().take(limit).read_to_end(&mut bytes),
        false => open(&disk)?.0.take(limit).read_to_end(&mut bytes),
    };
    read.map_err(|source| CliError::Input { path: path.to_path_buf(), source })?;
    Ok(bytes)
}

/// Opens a file; returns its length too.
fn open(path: &Path) -> Result<(File, u64), CliError> {
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => CliError::NoInput { path: path.to_path_buf() },
        _ => CliError::Input { path: path.to_path_buf(), source },
    };
    let file = File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    Ok((file, len))
}
