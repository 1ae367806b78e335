//! Merging metadata in a program of your own: nothing here needs a repository, a store or a file.
//!
//! `cargo run --release --package ottvc-merge --example editions`
//!
//! A house has a schema. Two departments change one document; what their changes mean decides how they
//! merge, what is left is settled, and one correction goes on to an edition that has a rating of its own.

use std::error::Error;
use std::sync::Arc;

use ottvc_merge::layers::{inherited, overlay, propagate, record};
use ottvc_merge::schema::validate;
use ottvc_merge::{Choice, MergeOptions, Schema, merge_values, resolve_value};
use ottvc_object::RepoPath;
use ottvc_object::conflict::Terms;
use ottvc_object::value::{Document, Value};

const SCHEMA: &str = "
schema: house.edition/1
fields:
  /eidr:       {type: string, format: eidr, inherit: never}
  /title:      {type: localized, of: string}
  /synopsis:   {type: text, merge: text(word), max_length: 400}
  /genres:     {type: set, of: string}
  /rating:     {type: string}
  /cast:       {type: keyed, keys: [person], order: field(billing)}
";

fn main() -> Result<(), Box<dyn Error>> {
    let schema = Arc::new(Schema::parse(SCHEMA)?);
    // Plain JSON; the schema knows that `genres` is a set, and `cast` a list that goes by person.
    let read = |json: &str| -> Result<Value, Box<dyn Error>> {
        let document = schema.convert(Document::from_json(json.as_bytes())?.value());
        for finding in validate(&document, &schema) {
            eprintln!("{}, {}: {}", finding.path, finding.rule, finding.why);
        }
        Ok(document)
    };
    let base = read(
        r#"{"title": {"en": "Dune"}, "synopsis": "A young hero leaves home.", "genres": ["drama"],
            "rating": "12", "cast": [{"person": "p1", "billing": 1, "role": "Paul"}]}"#,
    )?;
    // The editors reword the synopsis, add a genre and a person, and think it is for older people.
    let editors = read(
        r#"{"title": {"en": "Dune"}, "synopsis": "A young pilot leaves home.",
            "genres": ["drama", "epic"], "rating": "16", "cast": [
                {"person": "p1", "billing": 2, "role": "Paul"},
                {"person": "p2", "billing": 1, "role": "Chani"}]}"#,
    )?;
    // The importer has a French title, more of the synopsis, and another word for who Paul is.
    let importer = read(
        r#"{"title": {"en": "Dune", "fr": "Dune"}, "synopsis": "A young hero leaves home for good.",
            "genres": ["drama", "scifi"], "rating": "14",
            "cast": [{"person": "p1", "billing": 1, "role": "Paul Atreides"}]}"#,
    )?;

    let options = MergeOptions { schema: Some(Arc::clone(&schema)), ..MergeOptions::default() };
    let terms = Terms::three(Some(editors), Some(base), Some(importer));
    let merged = merge_values(&terms, &options, &RepoPath::new("edition.meta.json")?)?;
    for path in &merged.conflicts {
        println!("the sides disagree at {path}");
    }
    let mut title = merged.value.ok_or("nobody removed the document")?;
    for path in &merged.conflicts {
        title = resolve_value(&title, path, &Choice::Ours)?;
    }
    println!("merged: {}", serde_json::to_string_pretty(&schema.to_plain(&title))?);

    // An edition inherits all of it, and says only that it is rated otherwise.
    let parent = inherited(Some(&schema), Some(&title));
    let mut german = title.clone();
    if let Value::Map(fields) = &mut german {
        fields.insert("rating".to_owned(), Value::from("18"));
    }
    let own = record(Some(&schema), None, Some(&title), Some(&german), parent.as_deref());

    // The title is corrected and rated anew: the correction flows, the edition's rating stays.
    let mut corrected = title.clone();
    if let Value::Map(fields) = &mut corrected {
        fields.insert("rating".to_owned(), Value::from("6"));
        let genres = ["scifi", "adventure"].map(Value::from);
        fields.insert("genres".to_owned(), Value::Array(genres.into()));
    }
    let corrected = schema.convert(&corrected);
    let moved = propagate(Some(&schema), Some(&title), Some(&corrected), own.as_ref());
    for unit in &moved.outcomes {
        println!("{}: {}", unit.unit.path, unit.outcome.word());
    }
    let parent = inherited(Some(&schema), Some(&corrected));
    let shown = overlay(Some(&schema), parent.as_deref(), moved.own.as_ref());
    let shown = shown.ok_or("the edition has the document")?;
    println!("the edition: {}", serde_json::to_string_pretty(&schema.to_plain(&shown))?);
    Ok(())
}
