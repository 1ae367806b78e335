//! Laws of layers, whatever the documents; names are those of docs/merge.md, Laws.
//!
//! Each law is a function of a world and an engine, so that engines that are wrong on purpose can be held
//! against it. A world is documents made from one by small changes, with a schema and without.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

#[path = "laws/census.rs"]
mod census;
#[path = "laws/documents.rs"]
#[allow(dead_code, reason = "other laws use the rest")]
mod documents;
#[path = "laws/draw.rs"]
mod draw;
#[path = "schema_laws/world.rs"]
#[allow(dead_code, reason = "other laws use the rest")]
mod fields;

use std::sync::LazyLock;

use census::{Census, KINDS};
use draw::{Draw, config, drawn, fixed};
use ottvc_merge::Schema;
use ottvc_merge::layers::{
    ApplyTo, Diverged, FlowOutcome, Layer, Propagated, PushOutcome, apply, at_create,
    changed_units, inherited, overlay, propagate, record, units_for,
};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Document, KeyedList, ListOrder, Value, value_from_json, value_to_json};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};

type Doc = Option<Value>;

/// The fields of the other laws, with what they have to say about inheriting.
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let text = r"
schema: layers/1
fields:
  /atom:   {type: string, on_shadow: conflict}
  /prose:  {type: text, merge: text(word)}
  /loc:    {type: localized, of: text}
  /tags:   {type: set, of: string, on_shadow: conflict}
  /seq:    {type: array, of: int, merge: sequence, on_shadow: silent}
  /top:    {type: int, merge: max, inherit: never}
  /low:    {type: decimal, merge: min, inherit: at_create}
  /qc:     {type: map, merge: latest_by(rev)}
  /whole:  {type: map, merge: atomic}
  /group:  {type: map, groups: [[x, y]]}
  /win:    {type: keyed, keys: [id], order: none, groups: [[x, y]], on_shadow: conflict}
  /cast:   {type: keyed, keys: [id], order: field(n)}
  /cast/*/m: {inherit: never}
  /rail:   {type: keyed, keys: [id]}
  /apart:  {type: keyed, keys: [id], on_shadow: conflict}
  /rate:   {type: keyed, keys: [id], order: none, item: atomic}
  /deep:   {type: map, inherit: never}
  /deep/inner/count: {type: decimal, merge: counter, inherit: flow}
  /made/**: {merge: derived(sum), inherit: never}
";
    Schema::parse(text).unwrap()
});

/// Two states of a parent, and two of an edition that inherits from it.
#[derive(Clone)]
struct World {
    schema: bool,
    old: Doc,
    new: Doc,
    child: Doc,
    later: Doc,
}

/// As JSON, to be read.
impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let json = |doc: &Doc| doc.as_ref().map(value_to_json).unwrap_or_default();
        writeln!(f, "schema: {}", self.schema)?;
        writeln!(f, "old:   {}\nnew:   {}", json(&self.old), json(&self.new))?;
        writeln!(f, "child: {}\nlater: {}", json(&self.child), json(&self.later))
    }
}

impl World {
    fn schema(&self) -> Option<&'static Schema> {
        self.schema.then_some(&*SCHEMA)
    }
    fn inherited(&self, parent: &Doc) -> Doc {
        inherited(self.schema(), parent.as_ref()).map(std::borrow::Cow::into_owned)
    }
}

fn world(draw: &mut Draw<'_>) -> World {
    let (schema, docs) = match draw.below(3) {
        0 => (false, documents::clean(draw, 4)),
        other => (other == 1, fields::world(draw).clean),
    };
    let [old, new, child, later] = docs.try_into().unwrap();
    World { schema, old, new, child, later }
}

/// The engine under test, and engines that are wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Engine {
    Sound,
    /// An override that equals what it would inherit is no override.
    Relinks,
    /// A new value of the parent replaces the edition's own.
    Clobbers,
    /// What an edition removed comes back.
    ForgetsRemovals,
    /// A parent's change does not arrive.
    Stalls,
    /// What is not inherited flows all the same.
    FlowsAll,
    /// A layer comes back from its document without what it suppresses.
    StoresHalf,
    /// What the parent does not have is the edition's own as a whole.
    TakesWhole,
    /// What a change made is pushed as a whole.
    PushesWhole,
}

impl Engine {
    const FAULTS: [Self; 8] = [
        Self::Relinks,
        Self::Clobbers,
        Self::ForgetsRemovals,
        Self::Stalls,
        Self::FlowsAll,
        Self::StoresHalf,
        Self::TakesWhole,
        Self::PushesWhole,
    ];

    fn record(
        self,
        world: &World,
        own: Option<&Layer>,
        before: &Doc,
        after: &Doc,
        parent: &Doc,
    ) -> Option<Layer> {
        let schema = world.schema();
        let layer = record(schema, own, before.as_ref(), after.as_ref(), parent.as_ref());
        let equal = |path: &FieldPath| {
            let at = |doc: &Doc| doc.as_ref().and_then(|doc| doc.get(path)).cloned();
            at(parent).is_some() && at(parent) == at(after)
        };
        match self {
            Self::Relinks => without(layer, |path, _| equal(path)),
            Self::ForgetsRemovals => without(layer, |_, there| !there),
            Self::TakesWhole => layer.map(|layer| whole(&layer, after, parent)),
            _ => layer,
        }
    }

    fn propagate(self, world: &World, own: Option<&Layer>) -> Propagated {
        let schema = match self {
            Self::FlowsAll => None,
            _ => world.schema(),
        };
        let own = match self {
            Self::Clobbers => None,
            _ => own,
        };
        let mut moved = propagate(schema, world.old.as_ref(), world.new.as_ref(), own);
        if self == Self::Stalls {
            moved.effective = moved.before.clone();
        }
        moved
    }

    fn stored(self, layer: &Layer) -> Option<Layer> {
        let document = layer.to_document().unwrap();
        let read = Layer::from_document(&document).unwrap();
        match self {
            Self::StoresHalf => without(Some(read), |_, there| !there),
            _ => Some(read),
        }
    }
}

/// The layer without some of its places.
fn without(layer: Option<Layer>, goes: impl Fn(&FieldPath, bool) -> bool) -> Option<Layer> {
    let places = layer.as_ref().map(Layer::places).unwrap_or_default();
    let gone = places.iter().filter(|(path, there)| goes(path, *there));
    gone.fold(layer, |layer, (path, _)| layer.and_then(|layer| layer.reset(None, path).unwrap()))
}

/// The layer that overrides the fields of a document as wholes where the parent has none.
fn whole(layer: &Layer, after: &Doc, parent: &Doc) -> Layer {
    let (Some(Value::Map(after)), Some(Value::Map(parent))) = (after, parent) else {
        return layer.clone();
    };
    let Value::Map(mut said) = layer.to_document().unwrap().into_value() else { panic!() };
    for (key, said) in said.iter_mut().filter(|(key, _)| !parent.contains_key(*key)) {
        if let Some(value) = after.get(key) {
            *said = Value::map([("$value", value.clone())]);
        }
    }
    Layer::from_document(&Document::new(Value::Map(said)).unwrap()).unwrap()
}

fn at(doc: &Doc, path: &FieldPath) -> Doc {
    let doc = doc.as_ref()?;
    if path.segments().last() == Some(&Segment::Order) {
        let Some(Value::Keyed(list)) = doc.get(&path.parent()?) else { return None };
        return match list.order() {
            ListOrder::Known(keys) => Some(KeyedList::sequence_value(keys)),
            ListOrder::Conflict(conflict) => Some(Value::Conflict(conflict.clone())),
        };
    }
    doc.get(path).cloned()
}

/// Whether the keys that both sequences have are in the same order.
fn same_order(a: &Doc, b: &Doc) -> bool {
    let (Some(Value::Array(a)), Some(Value::Array(b))) = (a, b) else { return true };
    let shared = |one: &[Value], other: &[Value]| -> Vec<Value> {
        one.iter().filter(|key| other.contains(key)).cloned().collect()
    };
    shared(a, b) == shared(b, a)
}

/// Whether there is nothing in a container, or in those in it, that could be set.
fn hollow(value: &Value, keys: &[String]) -> bool {
    match value {
        Value::Map(map) | Value::Localized(map) => {
            map.iter().all(|(key, value)| keys.contains(key) || hollow(value, &[]))
        }
        Value::Set(set) => set.is_empty(),
        Value::Keyed(list) => list.items().values().all(|item| hollow(item, list.fields())),
        _ => false,
    }
}

type Law = fn(&World, Engine) -> TestCaseResult;

/// What the layer makes of the parent it was recorded over is the document that was recorded.
fn recorded_layers_give_the_document(world: &World, engine: Engine) -> TestCaseResult {
    let parent = world.inherited(&world.old);
    let over =
        |own: &Option<Layer>, parent: &Doc| overlay(world.schema(), parent.as_ref(), own.as_ref());
    let own = engine.record(world, None, &parent, &world.child, &parent);
    prop_assert_eq!(over(&own, &parent), world.child.clone());
    let own = engine.record(world, own.as_ref(), &world.child, &world.later, &parent);
    prop_assert_eq!(over(&own, &parent), world.later.clone());
    // And over a parent that has moved on, with whatever conflicts that left.
    let moved = engine.propagate(world, own.as_ref());
    let parent = world.inherited(&world.new);
    let own = engine.record(world, moved.own.as_ref(), &moved.effective, &world.child, &parent);
    prop_assert_eq!(over(&own, &parent), world.child.clone());
    Ok(())
}

/// A layer is stored as a document and comes back as it was.
fn layers_are_stored(world: &World, engine: Engine) -> TestCaseResult {
    let parent = world.inherited(&world.old);
    let own = engine.record(world, None, &parent, &world.child, &parent);
    let moved = engine.propagate(world, own.as_ref());
    for layer in own.iter().chain(&moved.own) {
        prop_assert_eq!(engine.stored(layer), Some(layer.clone()));
    }
    Ok(())
}

/// P1: what an edition overrides or suppresses stays, unless it is in conflict now.
fn overrides_are_safe(world: &World, engine: Engine) -> TestCaseResult {
    let parent = world.inherited(&world.old);
    let own = engine.record(world, None, &parent, &world.child, &parent);
    let moved = engine.propagate(world, own.as_ref());
    for (path, there) in own.iter().flat_map(Layer::places) {
        let unit = |place: &FieldPath| {
            let grouped = place
                .segments()
                .last()
                .is_some_and(|step| matches!(step, Segment::Key(key) if key.starts_with('{')));
            if grouped { place.parent().unwrap() } else { place.clone() }
        };
        let disputed = moved.outcomes.iter().filter(|unit| unit.conflict.is_some());
        if disputed.map(|it| unit(&it.unit.path)).any(|place| path.starts_with(&place)) {
            continue;
        }
        let (before, after) = (at(&world.child, &path), at(&moved.effective, &path));
        if path.segments().last() == Some(&Segment::Order) {
            prop_assert!(same_order(&before, &after), "{path}: {before:?} {after:?}");
        } else {
            prop_assert_eq!(&before, &after, "{}", path);
            prop_assert_eq!(there, after.is_some(), "{}", path);
        }
    }
    Ok(())
}

/// P2: what an edition does not speak about is what its parent has.
fn what_is_inherited_flows(world: &World, engine: Engine) -> TestCaseResult {
    let parent = world.inherited(&world.old);
    let own = engine.record(world, None, &parent, &world.child, &parent);
    let moved = engine.propagate(world, own.as_ref());
    let parent = world.inherited(&world.new);
    for unit in changed_units(world.schema(), parent.as_ref(), moved.effective.as_ref()) {
        let members = unit.members.iter().map(|name| unit.path.parent().unwrap().key(name));
        let mut places = members.chain([unit.path.clone()]);
        let own = |path: &FieldPath| moved.own.as_ref().is_some_and(|own| own.speaks_about(path));
        prop_assert!(places.any(|path| own(&path)), "{}", unit.path);
    }
    Ok(())
}

/// P2 also where the edition was first: what neither it nor its parent had arrives, whatever is around it,
/// but in what is empty, or was another kind of thing. What an edition had in between is forgotten.
fn what_both_make_is_of_both(world: &World, engine: Engine) -> TestCaseResult {
    let old = world.inherited(&world.old);
    let own = engine.record(world, None, &old, &world.child, &old);
    made_by_both(world, engine, &old, own.as_ref(), |_, _| true)?;
    let own = engine.record(world, None, &old, &world.later, &old);
    let own = engine.record(world, own.as_ref(), &world.later, &world.child, &old);
    made_by_both(world, engine, &old, own.as_ref(), |place, child| {
        let between = at(&world.later, place);
        between.map_or(at(&old, place).is_none(), |it| it.kind_word() == child.kind_word())
    })
}

fn made_by_both(
    world: &World,
    engine: Engine,
    old: &Doc,
    own: Option<&Layer>,
    stayed: impl Fn(&FieldPath, &Value) -> bool,
) -> TestCaseResult {
    let moved = engine.propagate(world, own);
    let new = world.inherited(&world.new);
    let disputed: Vec<&FieldPath> =
        moved.outcomes.iter().filter(|it| it.conflict.is_some()).map(|it| &it.unit.path).collect();
    for unit in changed_units(world.schema(), world.child.as_ref(), new.as_ref()) {
        let path = &unit.path;
        let around: Vec<FieldPath> = (0..path.segments().len())
            .map(|len| FieldPath(path.segments()[..len].to_vec()))
            .collect();
        let open = around.iter().all(|place| {
            let keys: Vec<String> = match place.segments().last() {
                Some(Segment::Item(parts)) => {
                    parts.iter().map(|(field, _)| field.clone()).collect()
                }
                _ => Vec::new(),
            };
            let child = at(&world.child, place).unwrap();
            let empty = match &child {
                Value::Map(map) => map.keys().all(|key| keys.contains(key)),
                other => hollow(other, &keys),
            };
            let same = |old: Value| old.kind_word() == child.kind_word();
            at(old, place).map_or(!empty, same) && stayed(place, &child)
        });
        let news = unit.members.is_empty()
            && unit.old.is_none()
            && path.segments().last() != Some(&Segment::Order)
            && at(old, path).is_none()
            && !disputed.iter().any(|place| path.starts_with(place));
        if news && open {
            prop_assert_eq!(&at(&moved.effective, path), &unit.new, "{}", path);
        }
    }
    Ok(())
}

/// P3: moving a pin to where it is changes nothing.
fn propagating_twice_is_once(world: &World, engine: Engine) -> TestCaseResult {
    let parent = world.inherited(&world.old);
    let own = engine.record(world, None, &parent, &world.child, &parent);
    let once = engine.propagate(world, own.as_ref());
    let there = World { old: world.new.clone(), ..world.clone() };
    let twice = engine.propagate(&there, once.own.as_ref());
    prop_assert_eq!(&twice.effective, &once.effective);
    prop_assert_eq!(&twice.own, &once.own);
    prop_assert!(twice.outcomes.is_empty());
    Ok(())
}

/// Where nothing is in conflict, two moves of a pin are one.
fn moves_add_up(world: &World, engine: Engine) -> TestCaseResult {
    let parent = world.inherited(&world.old);
    let own = engine.record(world, None, &parent, &world.child, &parent);
    let first = engine.propagate(world, own.as_ref());
    let onwards = World { old: world.new.clone(), new: world.later.clone(), ..world.clone() };
    let second = engine.propagate(&onwards, first.own.as_ref());
    let straight = World { new: world.later.clone(), ..world.clone() };
    let at_once = engine.propagate(&straight, own.as_ref());
    if first.is_clean() && second.is_clean() && at_once.is_clean() {
        prop_assert_eq!(second.effective, at_once.effective);
        prop_assert_eq!(second.own, at_once.own);
    }
    Ok(())
}

/// P7: an override that equals the inherited value is one, and survives the parent's change.
fn equality_is_no_link(world: &World, engine: Engine) -> TestCaseResult {
    let parent = world.inherited(&world.old);
    // As if every field had been set, to the value it has.
    let own = engine.record(world, None, &None, &parent, &parent);
    let moved = engine.propagate(world, own.as_ref());
    for unit in changed_units(world.schema(), parent.as_ref(), moved.effective.as_ref()) {
        // Only what the old parent did not have may be new; and a container that had nothing in it to
        // be set.
        let keys: Vec<String> = match unit.path.segments().last() {
            Some(Segment::Item(parts)) => parts.iter().map(|(field, _)| field.clone()).collect(),
            _ => Vec::new(),
        };
        let empty = |value: &Value| hollow(value, &keys);
        let disputed = |value: &Value| value.has_conflict();
        let fine = unit.old.as_ref().is_none_or(empty)
            || unit.new.as_ref().is_some_and(disputed)
            || unit.path.segments().last() == Some(&Segment::Order);
        // What is left of a container that the parent removed is what was set in it.
        let kept = |(old, new): (&Value, &Value)| {
            changed_units(None, Some(old), Some(new))
                .iter()
                .all(|it| it.old.as_ref().is_none_or(empty))
        };
        let both = unit.old.as_ref().zip(unit.new.as_ref());
        prop_assert!(fine || both.is_some_and(kept), "{}: {:?}", unit.path, unit);
    }
    Ok(())
}

/// Every unit that changed in the parent is told, and is what the telling says.
fn outcomes_are_true(world: &World, engine: Engine) -> TestCaseResult {
    let parent = world.inherited(&world.old);
    let own = engine.record(world, None, &parent, &world.child, &parent);
    let moved = engine.propagate(world, own.as_ref());
    let parent = world.inherited(&world.new);
    for it in moved.outcomes.iter().filter(|it| it.unit.members.is_empty()) {
        let after = at(&moved.effective, &it.unit.path);
        match it.outcome {
            _ if it.conflict.is_some() => {
                prop_assert!(matches!(after, Some(Value::Conflict(_))), "{it:?}");
            }
            FlowOutcome::Flowed if it.unit.path.segments().last() == Some(&Segment::Order) => {
                prop_assert!(same_order(&after, &it.unit.new), "{it:?}");
            }
            FlowOutcome::Flowed => prop_assert_eq!(&after, &at(&parent, &it.unit.path)),
            FlowOutcome::Shadowed | FlowOutcome::Converged
                if it.unit.path.segments().last() == Some(&Segment::Order) =>
            {
                prop_assert!(same_order(&after, &it.own), "{it:?}");
            }
            FlowOutcome::Shadowed => prop_assert!(
                after == it.own || matches!(it.unit.old, Some(Value::Set(_))),
                "{it:?}"
            ),
            FlowOutcome::Converged => prop_assert_eq!(&it.own, &it.unit.new),
            FlowOutcome::Orphaned => prop_assert!(it.conflict.is_some(), "{it:?}"),
            FlowOutcome::NotInherited => prop_assert_eq!(&after, &it.own, "{:?}", it),
        }
    }
    Ok(())
}

/// A schema that comes between what an edition says and what its parent does draws the units of both: what the
/// edition keeps, it keeps whole.
fn schemas_may_come_later(world: &World, engine: Engine) -> TestCaseResult {
    if !world.schema {
        return Ok(());
    }
    let before = World { schema: false, ..world.clone() };
    let own = engine.record(&before, None, &world.old, &world.child, &world.old);
    let parent = world.inherited(&world.old);
    let over = |own: &Option<Layer>| overlay(world.schema(), parent.as_ref(), own.as_ref());
    let own = engine.record(world, own.as_ref(), &over(&own), &world.child, &parent);
    prop_assert_eq!(&over(&own), &world.child);
    let moved = engine.propagate(world, own.as_ref());
    for it in moved.outcomes.iter().filter(|it| it.conflict.is_none()) {
        let in_parts = matches!(it.unit.old, Some(Value::Set(_)));
        let order = it.unit.path.segments().last() == Some(&Segment::Order);
        if it.outcome == FlowOutcome::Shadowed && !in_parts && !order {
            prop_assert_eq!(&it.unit.of(moved.effective.as_ref()), &it.own, "{:?}", it);
        }
    }
    Ok(())
}

/// Whatever the parent and the layer, what comes of them is a document, and conflicts are told.
fn whatever_comes_is_a_document(world: &World, engine: Engine) -> TestCaseResult {
    let parent = world.inherited(&world.old);
    let own = engine.record(world, None, &parent, &world.child, &parent);
    let moved = engine.propagate(world, own.as_ref());
    // A layer over a parent that it was not made for, too.
    let odd = overlay(world.schema(), world.later.as_ref(), own.as_ref());
    for document in [&moved.effective, &odd].into_iter().flatten() {
        prop_assert!(Document::new(document.clone()).is_ok());
    }
    let disputed = moved.effective.as_ref().map(|it| it.conflicts().len()).unwrap_or_default();
    let told = moved.outcomes.iter().filter(|it| it.conflict.is_some()).count();
    prop_assert_eq!(disputed, told);
    Ok(())
}

/// Resetting every place gives the inherited document back; resetting one, what is inherited there.
fn resetting_links_again(world: &World, engine: Engine) -> TestCaseResult {
    let parent = world.inherited(&world.old);
    let own = engine.record(world, None, &parent, &world.child, &parent);
    let Some(layer) = &own else { return Ok(()) };
    for (path, _) in layer.places() {
        let left = layer.reset(None, &path).unwrap();
        let after = overlay(None, parent.as_ref(), left.as_ref());
        if path.segments().last() != Some(&Segment::Order) {
            prop_assert_eq!(at(&after, &path), at(&parent, &path), "{}", path);
        }
    }
    prop_assert_eq!(without(own, |_, _| true), None);
    Ok(())
}

/// A new edition has the parent's document, but for what is never inherited; what it is given once is
/// its own, and stays as it was.
fn what_is_given_once_stays(world: &World, engine: Engine) -> TestCaseResult {
    let schema = world.schema();
    let own = at_create(schema, world.old.as_ref());
    let moved = engine.propagate(world, own.as_ref());
    let inherits =
        |path: &FieldPath| schema.and_then(|schema| schema.reach_at(path).inherit).unwrap();
    if schema.is_none() {
        prop_assert_eq!(own, None);
        return Ok(());
    }
    for unit in changed_units(schema, world.old.as_ref(), moved.before.as_ref()) {
        prop_assert_ne!(inherits(&unit.path), ottvc_merge::schema::Inherit::AtCreate);
    }
    for (path, there) in own.iter().flat_map(Layer::places) {
        prop_assert!(there && inherits(&path) == ottvc_merge::schema::Inherit::AtCreate);
        let disputed = at(&moved.effective, &path) != at(&world.old, &path);
        prop_assert!(!disputed || !moved.is_clean(), "{}", path);
    }
    Ok(())
}

/// A change that is pushed comes where it says so, and nothing beside it is touched, even by force.
fn pushes_touch_what_they_say(world: &World, engine: Engine) -> TestCaseResult {
    let schema = world.schema();
    let target = world.child.as_ref();
    let change = changed_units(schema, world.old.as_ref(), world.new.as_ref());
    let units = match engine {
        Engine::PushesWhole => change,
        _ => units_for(schema, change, target),
    };
    for diverged in [Diverged::Keep, Diverged::Force] {
        let to = ApplyTo { document: target, own: None, pinned: false, arrives: &[], diverged };
        let applied = apply(&units, &to);
        let after = applied.document.clone();
        let is_order = |path: &FieldPath| path.segments().last() == Some(&Segment::Order);
        for it in applied.units.iter().filter(|it| !is_order(&it.unit.path)) {
            let comes = it.forced || it.outcome != PushOutcome::Diverged;
            let wanted = if comes { it.unit.new.clone() } else { it.unit.of(target) };
            prop_assert_eq!(it.unit.of(after.as_ref()), wanted, "{}", it.unit.path);
        }
        for changed in changed_units(schema, target, after.as_ref()) {
            let told = applied.units.iter().any(|it| {
                // A set that is not there comes with its first element.
                let first = matches!(it.unit.path.segments().last(), Some(Segment::Element(_)))
                    && it.unit.path.parent().as_ref() == Some(&changed.path);
                changed.path.starts_with(&it.unit.path) || first
            });
            prop_assert!(told || is_order(&changed.path), "{}", changed.path);
        }
        // What the target alone has, in what all of them have.
        for alone in changed_units(schema, world.new.as_ref(), target) {
            let path = &alone.path;
            if alone.old.is_none() && alone.members.is_empty() && at(&world.old, path).is_none() {
                prop_assert_eq!(&at(&after, path), &alone.new, "{}", path);
            }
        }
    }
    Ok(())
}

const LAWS: [(&str, Law); 14] = [
    ("round trip", recorded_layers_give_the_document),
    ("storage", layers_are_stored),
    ("P1", overrides_are_safe),
    ("P2", what_is_inherited_flows),
    ("P2, made by both", what_both_make_is_of_both),
    ("P3", propagating_twice_is_once),
    ("composition", moves_add_up),
    ("P7", equality_is_no_link),
    ("outcomes", outcomes_are_true),
    ("schemas", schemas_may_come_later),
    ("documents", whatever_comes_is_a_document),
    ("reset", resetting_links_again),
    ("at_create", what_is_given_once_stays),
    ("apply", pushes_touch_what_they_say),
];

#[test]
fn every_law_holds() {
    let mut failed = Vec::new();
    for (name, law) in LAWS {
        let mut runner = TestRunner::new(config(file!(), 1000));
        let run = runner.run(&drawn(world), |world| law(&world, Engine::Sound));
        failed.extend(run.err().map(|error| format!("{name}: {error}")));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn every_planted_fault_is_caught() {
    for fault in Engine::FAULTS {
        // The same worlds each time: this is about the laws, not about luck.
        let caught = LAWS
            .iter()
            .any(|(_, law)| fixed(4000).run(&drawn(world), |world| law(&world, fault)).is_err());
        assert!(caught, "{fault:?} breaks no law");
    }
}

/// The laws are tried on every kind of value, and on every way a parent's change can go.
#[test]
fn enough_of_everything_is_drawn() {
    let census = Census::of(10_000, world, |census, world| {
        for doc in [&world.old, &world.new, &world.child, &world.later] {
            match doc {
                Some(doc) => census.value(doc, 0),
                None => census.count("no document"),
            }
        }
        census.count(if world.schema { "schema" } else { "no schema" });
        let parent = world.inherited(&world.old);
        let own = Engine::Sound.record(&world, None, &parent, &world.child, &parent);
        for (_, there) in own.iter().flat_map(Layer::places) {
            census.count(if there { "overridden" } else { "suppressed" });
        }
        let moved = Engine::Sound.propagate(&world, own.as_ref());
        for it in &moved.outcomes {
            census.count(it.outcome.word());
            census.count(it.conflict.map_or("no conflict", |kind| kind.word()));
        }
        census.count(if moved.is_clean() { "clean" } else { "in conflict" });
    });
    census.expect(&[
        (500, &KINDS),
        (800, &["no document", "schema", "no schema", "overridden", "suppressed"]),
        (500, &["flowed", "shadowed", "converged", "clean"]),
        (100, &["orphaned", "not_inherited", "in conflict", "shadow", "orphan_override"]),
    ]);
}

/// A container made by the edition alone stands, also once nothing is left in it, and goes with its parts.
#[test]
fn what_an_edition_makes_is_its_own() {
    let document =
        |json: &str| Some(value_from_json(&serde_json::from_str(json).unwrap()).unwrap());
    let parent = document("{}");
    let record = |own: Option<&Layer>, before: &Doc, after: &Doc| {
        record(None, own, before.as_ref(), after.as_ref(), parent.as_ref())
    };
    let empty = document(r#"{"m": {}}"#);
    let full = document(r#"{"m": {"a": 1, "b": {"c": 2}}}"#);
    let made = record(None, &parent, &empty);
    let filled = record(made.as_ref(), &empty, &full);
    let places = |own: &Option<Layer>| -> Vec<String> {
        own.iter().flat_map(Layer::places).map(|(path, _)| path.to_string()).collect()
    };
    assert_eq!(
        (places(&made), places(&filled)),
        (vec!["/m".into()], vec!["/m/a".into(), "/m/b/c".into()])
    );
    let emptied = record(filled.as_ref(), &full, &empty);
    assert_eq!(emptied, made);
    assert_eq!(overlay(None, parent.as_ref(), emptied.as_ref()), empty);
    assert_eq!(record(filled.as_ref(), &full, &parent), None);
    // A layer of a time when such a container was one value stays that.
    let stored = Value::map([("m", Value::map([("$value", Value::map([("a", Value::Int(1))]))]))]);
    let stored = Layer::from_document(&Document::new(stored).unwrap()).unwrap();
    let shown = overlay(None, parent.as_ref(), Some(&stored));
    let wider = document(r#"{"m": {"a": 1, "b": 2}}"#);
    assert_eq!(places(&record(Some(&stored), &shown, &wider)), ["/m"]);
}

/// What does not fit into a document when it is said part by part is said whole, and still stored.
#[test]
fn a_layer_fits_where_its_document_does() {
    let many = |count: i64| {
        let entries = (0..count).map(|at| (format!("k{at}"), Value::Int(at)));
        Value::map([("m", Value::Map(entries.collect()))])
    };
    let parent = Value::map::<&str>([]);
    let places = |count| {
        let after = many(count);
        let own = record(None, None, Some(&parent), Some(&after), Some(&parent)).unwrap();
        own.to_document().unwrap();
        assert_eq!(overlay(None, Some(&parent), Some(&own)), Some(after));
        own.places().len()
    };
    assert_eq!((places(1000), places(200_000)), (1000, 1));
}

/// A layer that was made part by part is said whole once all of it is past the limits of documents.
#[test]
fn a_layer_in_parts_makes_room() {
    let parent = Value::map::<&str>([]);
    let hollow = (0..120_000).map(|at| (format!("k{at}"), Value::map::<&str>([])));
    let before = Value::map([("m", Value::Map(hollow.collect()))]);
    let own = record(None, None, Some(&parent), Some(&before), Some(&parent)).unwrap();
    assert_eq!(own.places().len(), 120_000);
    let mut after = before.clone();
    let long = Value::Array(vec![Value::Int(1); 100_000]);
    after.set(&"/z".parse().unwrap(), Some(long)).unwrap();
    Document::new(after.clone()).unwrap();
    let own = record(None, Some(&own), Some(&before), Some(&after), Some(&parent)).unwrap();
    own.to_document().unwrap();
    assert_eq!((own.places().len(), overlay(None, Some(&parent), Some(&own))), (2, Some(after)));
}

/// The order of a list that an edition makes is its own, also if it is the sorted one.
#[test]
fn an_order_made_first_is_kept() {
    let document =
        |json: &str| Some(value_from_json(&serde_json::from_str(json).unwrap()).unwrap());
    let list = |keys: &[&str]| {
        let items: Vec<String> = keys.iter().map(|key| format!(r#"{{"id": "{key}"}}"#)).collect();
        let items = items.join(",");
        document(&format!(r#"{{"cast": {{"$kl": {{"keys": ["id"], "items": [{items}]}}}}}}"#))
    };
    let none = document("{}");
    for keys in [["a", "b"], ["b", "a"]] {
        let (mine, new) = (list(&keys), list(&["c", "b", "a"]));
        let own = record(None, None, none.as_ref(), mine.as_ref(), none.as_ref());
        let moved = propagate(None, none.as_ref(), new.as_ref(), own.as_ref());
        assert_eq!(moved.effective, list(&["c", keys[0], keys[1]]));
    }
}

/// Where a parent takes back what it made after the edition, ours is what the edition made.
#[test]
fn what_is_orphaned_is_the_editions_own() {
    let document =
        |json: &str| Some(value_from_json(&serde_json::from_str(json).unwrap()).unwrap());
    let own = |parent: &Doc, mine: &str| {
        record(None, None, parent.as_ref(), document(mine).as_ref(), parent.as_ref())
    };
    let ours = |parent: &Doc, own: Option<&Layer>| {
        let moved = propagate(None, parent.as_ref(), document("{}").as_ref(), own);
        let [told] = moved.outcomes.as_slice() else { panic!("{moved:?}") };
        assert_eq!(told.conflict, Some(ottvc_object::conflict::ConflictKind::OrphanOverride));
        Some(Value::map([("t", told.own.clone().unwrap())]))
    };
    let (none, made) = (document("{}"), document(r#"{"t": {"en": 1}}"#));
    let first = own(&none, r#"{"t": {"de": 1}}"#);
    assert_eq!(ours(&made, first.as_ref()), document(r#"{"t": {"de": 1}}"#));
    // What it changed is its own together with what is around it.
    let both = document(r#"{"t": {"en": 1, "fr": 1}}"#);
    let changed = own(&both, r#"{"t": {"en": 2, "fr": 1}}"#);
    assert_eq!(ours(&both, changed.as_ref()), document(r#"{"t": {"en": 2, "fr": 1}}"#));
}

/// A conflict over what a parent took away, settled to the edition's own, leaves that as if it had been made then:
/// what the parent comes to have there arrives.
#[test]
fn what_settles_an_orphan_is_layered_by_its_parts() {
    let document =
        |json: &str| Some(value_from_json(&serde_json::from_str(json).unwrap()).unwrap());
    let none = document("{}");
    for (first, mine, settled, later, shown) in [
        (r#"["a"]"#, r#"["a", "c"]"#, r#"["c"]"#, r#"["z"]"#, r#"["c", "z"]"#),
        (r#"{"a": 1}"#, r#"{"a": 1, "c": 1}"#, r#"{"c": 1}"#, r#"{"z": 1}"#, r#"{"c": 1, "z": 1}"#),
    ] {
        let titled = |value: &str| {
            let set = if value.starts_with('[') {
                format!(r#"{{"$set": {value}}}"#)
            } else {
                value.into()
            };
            document(&format!(r#"{{"t": {set}}}"#))
        };
        let (first, settled) = (titled(first), titled(settled));
        let own = record(None, None, first.as_ref(), titled(mine).as_ref(), first.as_ref());
        let moved = propagate(None, first.as_ref(), none.as_ref(), own.as_ref());
        assert!(!moved.is_clean());
        let disputed = moved.effective.as_ref();
        let own = record(None, moved.own.as_ref(), disputed, settled.as_ref(), none.as_ref());
        assert_eq!(overlay(None, none.as_ref(), own.as_ref()), settled);
        let moved = propagate(None, none.as_ref(), titled(later).as_ref(), own.as_ref());
        assert_eq!(moved.effective, titled(shown));
    }
}

/// An element that an edition put in and took out again, and that its parent never had, is nothing of its own.
#[test]
fn what_was_only_tried_is_forgotten() {
    let set = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let text = format!(r#"{{"tags": {{"$set": [{}]}}}}"#, words.join(","));
        Some(value_from_json(&serde_json::from_str(&text).unwrap()).unwrap())
    };
    let none = Some(Value::map::<&str>([]));
    for (parent, new, shown) in [
        (none, set(&["b", "c"]), set(&["a", "c", "b"])),
        (set(&["c"]), set(&["b"]), set(&["a", "b"])),
    ] {
        let (tried, left) = (set(&["a", "b", "c"]), set(&["a", "c"]));
        let record = |own: Option<&Layer>, before: &Doc, after: &Doc| {
            record(None, own, before.as_ref(), after.as_ref(), parent.as_ref())
        };
        let own = record(None, &parent, &tried);
        let own = record(own.as_ref(), &tried, &left);
        let moved = propagate(None, parent.as_ref(), new.as_ref(), own.as_ref());
        assert_eq!(moved.effective, shown);
    }
}

/// Worlds that broke a law before it was mended.
#[test]
fn what_broke_a_law_before_keeps_it() {
    let document =
        |json: &str| Some(value_from_json(&serde_json::from_str(json).unwrap()).unwrap());
    let list = document(r#"{"a": {"$kl": {"keys": ["id"], "items": [{"id": "s"}]}}}"#);
    let deep = document(r#"{"deep": {"a": "", "inner": {"count": 0}}}"#);
    let none = document("{}");
    let worlds = [
        (false, [list.clone(), none.clone(), list.clone(), list]),
        (
            true,
            [
                none.clone(),
                document(r#"{"apart": {"$kl": {"keys": ["id"], "items": []}}}"#),
                None,
                document(r#"{"cast": {"x": 4}, "names": {"l": {"y": 2}}, "said": "x"}"#),
            ],
        ),
        (
            true,
            [none.clone(), document(r#"{"deep": {"inner": {"count": 0}}}"#), none.clone(), none],
        ),
        (true, [deep.clone(), document(r#"{"deep": {}}"#), deep.clone(), deep]),
    ];
    for (schema, [old, new, child, later]) in worlds {
        let world = World { schema, old, new, child, later };
        for (name, law) in LAWS {
            law(&world, Engine::Sound).unwrap_or_else(|error| panic!("{name}: {error} {world:?}"));
        }
    }
}
