//! What every store promises a collector, and writers beside one: run [`collect`] against a backend.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a suite fails by panicking")]

use std::sync::Arc;

use ottvc_object::{ContentId, Kind};
use ottvc_store::collect::{Collection, Dropped, Holder, Live, Publish, Thing};
use ottvc_store::{Held, ObjectStore, StoreError, session};

use crate::objects::{MakeObjects, chunk, manifest, noise, object, read, store};

/// Checks every promise of [`ottvc_store::Collectable`]; panics at the first that is broken.
pub fn collect(make: MakeObjects<'_>) {
    without_a_collection_nothing_goes(&*make());
    what_lives_stays(&*make());
    the_trash_is_found_and_given_back(&*make());
    what_is_dropped_is_gone_and_can_be_stored_again(&*make());
    a_dropped_manifest_keeps_no_file(&*make());
    an_answer_pins_until_its_session_ends(&make());
    what_a_session_stored_is_pinned_past_its_batch(&make());
    a_session_that_ended_meanwhile_still_pins(&make());
    what_is_condemned_is_stored_anew(&make());
    a_condemned_thing_in_a_dropped_batch_is_gone(&make());
    one_collection_at_a_time(&*make());
}

/// Publishes what lives; what sessions touched lives too.
fn publish(collection: &Collection, mut live: Live) {
    while let Publish::More(back, touched) = collection.publish(live) {
        live = back;
        for id in touched {
            live.insert_object(id, Holder::Sessions);
        }
    }
}

fn begin(store: &dyn ObjectStore, live: Live) -> Collection {
    let collection = store.collectable().pins().begin_collection().unwrap();
    publish(&collection, live);
    collection
}

fn holds(store: &dyn ObjectStore, thing: Thing) -> bool {
    let mut found = false;
    store
        .scan(&mut |held| {
            found |= match held {
                Held::Object { id, .. } => thing == Thing::Object(id),
                Held::Chunk { id, .. } => thing == Thing::Chunk(id),
            };
            Ok(())
        })
        .unwrap();
    found
}

fn without_a_collection_nothing_goes(store: &dyn ObjectStore) {
    let (object, chunk) = (object(Kind::Tree, 1), chunk(b"a chunk"));
    self::store(store, std::slice::from_ref(&object), std::slice::from_ref(&chunk));
    let things = [Thing::Object(object.id()), Thing::Chunk(chunk.id)];
    let side = store.collectable();
    for _ in 0..2 {
        assert_eq!(side.trash(&things, 5).unwrap(), Dropped::default());
        assert_eq!(side.purge(&things).unwrap(), Dropped::default());
        // One that has not said yet what lives is none.
        let _collection = side.pins().begin_collection().unwrap();
        assert_eq!(side.purge(&things).unwrap(), Dropped::default());
    }
    assert_eq!(store.get(object.id()).unwrap(), object);
}

fn what_lives_stays(store: &dyn ObjectStore) {
    // Of a kind that has records of its own.
    let (kept, lost) = (object(Kind::Conflict, 1), object(Kind::Conflict, 2));
    let (kept_chunk, lost_chunk) = (chunk(&noise(1, 20_000)), chunk(&noise(2, 20_000)));
    self::store(store, &[kept.clone(), lost.clone()], &[kept_chunk.clone(), lost_chunk.clone()]);
    store.sync().unwrap();
    let mut live = Live::default();
    live.insert_object(kept.id(), Holder::Refs);
    live.insert_chunk(kept_chunk.id, Holder::Refs);
    let collection = begin(store, live);
    let things = [
        Thing::Object(kept.id()),
        Thing::Object(lost.id()),
        Thing::Chunk(kept_chunk.id),
        Thing::Chunk(lost_chunk.id),
    ];
    let dropped = store.collectable().purge(&things).unwrap();
    assert_eq!((dropped.objects, dropped.chunks), (1, 1));
    assert_eq!(dropped.bytes, 56 + 10 + 56 + 20_000);
    assert_eq!(collection.holder(things[0]), Some(Holder::Refs));
    assert_eq!(collection.holder(things[1]), None);
    drop(collection);
    let there: Vec<_> = things.iter().map(|thing| holds(store, *thing)).collect();
    assert_eq!(there, [true, false, true, false]);
    assert_eq!(store.get(kept.id()).unwrap(), kept);
    assert_eq!(read(store, &[kept_chunk.id]).unwrap(), [noise(1, 20_000)]);
}

fn the_trash_is_found_and_given_back(store: &dyn ObjectStore) {
    let (object, chunk) = (object(Kind::Tree, 1), chunk(b"a chunk"));
    self::store(store, std::slice::from_ref(&object), std::slice::from_ref(&chunk));
    let things = [Thing::Object(object.id()), Thing::Chunk(chunk.id)];
    let side = store.collectable();
    let collection = begin(store, Live::default());
    assert_eq!(side.trash(&things, 5).unwrap().chunks, 1);
    assert_eq!(side.trash(&things, 9).unwrap(), Dropped::default(), "they are there already");
    assert_eq!(side.trash_times(&things).unwrap(), [Some(5), Some(5)]);
    drop(collection);
    let mut seen = Vec::new();
    side.trashed(&mut |trashed| {
        assert_eq!(trashed.since, 5);
        seen.push(trashed.thing);
        Ok(())
    })
    .unwrap();
    seen.sort();
    assert_eq!(seen, things);
    assert_eq!(store.get(object.id()).unwrap(), object);
    assert_eq!(read(store, &[chunk.id]).unwrap(), [b"a chunk".to_vec()]);
    let written = self::store(store, std::slice::from_ref(&object), std::slice::from_ref(&chunk));
    assert_eq!((written.objects, written.chunks), (0, 0), "what is in the trash is there");
    side.take_back(&things).unwrap();
    assert_eq!(side.trash_times(&things).unwrap(), [None, None]);
    assert_eq!(side.take_back(&things).unwrap(), 0);
}

fn what_is_dropped_is_gone_and_can_be_stored_again(store: &dyn ObjectStore) {
    let (object, chunk) = (object(Kind::Tree, 1), chunk(b"a chunk"));
    self::store(store, std::slice::from_ref(&object), std::slice::from_ref(&chunk));
    let things = [Thing::Object(object.id()), Thing::Chunk(chunk.id)];
    let collection = begin(store, Live::default());
    store.collectable().trash(&things, 5).unwrap();
    store.collectable().purge(&things).unwrap();
    drop(collection);
    assert_eq!(store.collectable().trash_times(&things).unwrap(), [None, None]);
    assert!(matches!(store.get(object.id()), Err(StoreError::NotFound { .. })));
    assert_eq!(store.chunk_infos(&[chunk.id]).unwrap(), [None]);
    let written = self::store(store, std::slice::from_ref(&object), std::slice::from_ref(&chunk));
    assert_eq!((written.objects, written.chunks), (1, 1));
    store.sync().unwrap();
    assert_eq!(store.get(object.id()).unwrap(), object);
    assert_eq!(read(store, &[chunk.id]).unwrap(), [b"a chunk".to_vec()]);
}

fn a_dropped_manifest_keeps_no_file(store: &dyn ObjectStore) {
    let raw = b"a file";
    let (first, second) = (manifest(raw, 100), manifest(raw, 200));
    let content = ContentId::of(raw);
    self::store(store, &[first.clone(), second.clone()], &[chunk(raw)]);
    let bindings = || {
        let mut all = Vec::new();
        store
            .collectable()
            .manifests(&mut |content, id| {
                all.push((content, id));
                Ok(())
            })
            .unwrap();
        all
    };
    assert_eq!(bindings(), [(content, second.id())]);
    let mut live = Live::default();
    live.insert_object(second.id(), Holder::Refs);
    let collection = begin(store, live);
    store.collectable().purge(&[Thing::Object(first.id())]).unwrap();
    drop(collection);
    assert_eq!(store.manifest_of(content).unwrap(), Some(second.id()), "the other one goes alone");
    let collection = begin(store, Live::default());
    store.collectable().purge(&[Thing::Object(second.id())]).unwrap();
    drop(collection);
    assert_eq!(store.manifest_of(content).unwrap(), None);
    assert_eq!(bindings(), []);
}

fn an_answer_pins_until_its_session_ends(store: &Arc<dyn ObjectStore>) {
    let asked = [object(Kind::Tree, 1), manifest(b"a chunk", 9), object(Kind::Tree, 3)];
    let (other, chunk) = (object(Kind::Tree, 4), chunk(b"a chunk"));
    let mut objects = asked.to_vec();
    objects.push(other.clone());
    self::store(&**store, &objects, std::slice::from_ref(&chunk));
    let mut things: Vec<_> = objects.iter().map(|object| Thing::Object(object.id())).collect();
    things.push(Thing::Chunk(chunk.id));
    let writer = session(store);
    assert_eq!(writer.contains(&[asked[0].id()]).unwrap(), [true]);
    assert_eq!(writer.manifest_of(ContentId::of(b"a chunk")).unwrap(), Some(asked[1].id()));
    writer.get(asked[2].id()).unwrap();
    assert!(writer.chunk_infos(&[chunk.id]).unwrap()[0].is_some());
    let collection = begin(&**store, Live::default());
    assert_eq!(store.collectable().trash(&things, 5).unwrap().objects, 1);
    let dropped = store.collectable().purge(&things).unwrap();
    assert_eq!((dropped.objects, dropped.chunks), (1, 0), "what nobody asked about");
    assert!(!holds(&**store, Thing::Object(other.id())));
    drop(collection);
    drop(writer);
    let collection = begin(&**store, Live::default());
    let dropped = store.collectable().purge(&things).unwrap();
    assert_eq!((dropped.objects, dropped.chunks), (3, 1));
    drop(collection);
}

fn what_a_session_stored_is_pinned_past_its_batch(store: &Arc<dyn ObjectStore>) {
    let (object, chunk) = (object(Kind::Tree, 1), chunk(b"a chunk"));
    let things = [Thing::Object(object.id()), Thing::Chunk(chunk.id)];
    let writer = session(store);
    self::store(&*writer, std::slice::from_ref(&object), std::slice::from_ref(&chunk));
    for _ in 0..2 {
        let _collection = begin(&**store, Live::default());
        assert_eq!(store.collectable().purge(&things).unwrap(), Dropped::default());
    }
    assert_eq!(writer.get(object.id()).unwrap(), object);
}

fn a_session_that_ended_meanwhile_still_pins(store: &Arc<dyn ObjectStore>) {
    let object = object(Kind::Tree, 1);
    let things = [Thing::Object(object.id())];
    self::store(&**store, std::slice::from_ref(&object), &[]);
    // Of these two, the first was there when the collection began; either may have moved a ref since
    // roots were read.
    for early in [true, false] {
        let before = early.then(|| session(store));
        let asked = |writer: &Arc<dyn ObjectStore>| writer.contains(&[object.id()]).unwrap();
        before.iter().for_each(|writer| assert_eq!(asked(writer), [true]));
        let collection = store.collectable().pins().begin_collection().unwrap();
        if !early {
            assert_eq!(asked(&session(store)), [true]);
        }
        drop(before);
        publish(&collection, Live::default());
        assert_eq!(store.collectable().purge(&things).unwrap(), Dropped::default());
        drop(collection);
    }
}

fn what_is_condemned_is_stored_anew(store: &Arc<dyn ObjectStore>) {
    let (object, chunk) = (object(Kind::Tree, 1), chunk(b"a chunk"));
    let things = [Thing::Object(object.id()), Thing::Chunk(chunk.id)];
    self::store(&**store, std::slice::from_ref(&object), std::slice::from_ref(&chunk));
    store.sync().unwrap();
    let collection = begin(&**store, Live::default());
    let writer = session(store);
    assert_eq!(writer.contains(&[object.id()]).unwrap(), [false]);
    assert_eq!(writer.chunk_infos(&[chunk.id]).unwrap(), [None]);
    assert!(matches!(writer.get(object.id()), Err(StoreError::NotFound { .. })));
    let written =
        self::store(&*writer, std::slice::from_ref(&object), std::slice::from_ref(&chunk));
    assert_eq!((written.objects, written.chunks), (1, 1));
    assert_eq!(store.collectable().purge(&things).unwrap(), Dropped::default());
    drop(collection);
    store.sync().unwrap();
    assert_eq!(writer.get(object.id()).unwrap(), object);
    assert_eq!(read(&*writer, &[chunk.id]).unwrap(), [b"a chunk".to_vec()]);
}

fn a_condemned_thing_in_a_dropped_batch_is_gone(store: &Arc<dyn ObjectStore>) {
    let object = object(Kind::Tree, 1);
    self::store(&**store, std::slice::from_ref(&object), &[]);
    let collection = begin(&**store, Live::default());
    let writer = session(store);
    let mut batch = writer.writer().unwrap();
    assert!(batch.put(&object).unwrap());
    drop(batch);
    // What it names may be gone: the copy from before must not be taken for whole again.
    assert_eq!(writer.contains(&[object.id()]).unwrap(), [false]);
    drop(collection);
    assert_eq!(writer.contains(&[object.id()]).unwrap(), [false]);
}

fn one_collection_at_a_time(store: &dyn ObjectStore) {
    let pins = store.collectable().pins();
    let first = pins.begin_collection().unwrap();
    assert!(matches!(pins.begin_collection(), Err(StoreError::Busy { .. })));
    drop(first);
    pins.begin_collection().unwrap();
}
