//! What a package has beside its compositions: files, sidecar files (SMPTE ST 2067-9) and lists of output
//! profiles (ST 2067-100), written down with the composition they belong to.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{KeyedList, Value, ValueMap};

use super::{Asset, FILE_BYTES, below, child, local, text_of, uuid};
use crate::tree::Element;
use crate::{Delivery, ImportError};

/// Ids of files, by the composition they belong to.
#[derive(Default)]
pub(super) struct Beside {
    sidecars: BTreeMap<String, BTreeSet<String>>,
    profiles: BTreeMap<String, BTreeSet<String>>,
}

impl Beside {
    /// Takes in a file of the package, if it is one that speaks of compositions.
    pub(super) fn read(&mut self, root: &Element) {
        match local(&root.name) {
            "SidecarCompositionMap" => {
                for asset in below(root, &["SidecarAssetList", "SidecarAsset"]) {
                    for cpl in below(asset, &["AssociatedCPLList", "CPLId"]) {
                        let of = self.sidecars.entry(uuid(&cpl.text())).or_default();
                        of.insert(uuid(&text_of(asset, "Id")));
                    }
                }
            }
            "OutputProfileList" => {
                if let Some(cpl) = child(root, "CompositionPlaylistId") {
                    let of = self.profiles.entry(uuid(&cpl.text())).or_default();
                    of.insert(uuid(&text_of(root, "Id")));
                }
            }
            _ => {}
        }
    }

    /// What belongs to the composition of a delivery, by field.
    fn of(&self, delivery: &Delivery) -> impl Iterator<Item = (&'static str, &BTreeSet<String>)> {
        let cpl = match delivery.document.get(&FieldPath::root().key("ids").key("cpl")) {
            Some(Value::String(id)) => id.clone(),
            _ => String::new(),
        };
        let both = [("sidecars", &self.sidecars), ("output_profiles", &self.profiles)];
        both.into_iter().filter_map(move |(name, all)| Some((name, all.get(&cpl)?)))
    }

    /// How many bytes it takes to write that down.
    pub(super) fn bytes_of(&self, delivery: &Delivery) -> usize {
        self.of(delivery).flat_map(|(_, ids)| ids).map(|id| FILE_BYTES + id.len()).sum()
    }

    /// Writes down what the package has, in the document of one of its compositions.
    pub(super) fn describe(
        &self,
        delivery: &mut Delivery,
        list: String,
        assets: &[Asset],
    ) -> Result<(), ImportError> {
        let at = FieldPath::root().key("package");
        let mut files = KeyedList::empty(vec!["id".to_owned()])?;
        for asset in assets {
            let mut item = ValueMap::new();
            item.insert("id".into(), asset.id.clone().into());
            for (name, text) in [("sha1", &asset.hash), ("type", &asset.kind)] {
                item.insert(name.into(), text.clone().into());
            }
            if let Some(path) = &asset.path {
                item.insert("path".into(), path.clone().into());
            }
            if let Some(size) = asset.size.and_then(|size| i64::try_from(size).ok()) {
                item.insert("size".into(), size.into());
            }
            files.put(files.key_of(&item)?, Value::Map(item))?;
        }
        let mut said = Vec::new();
        for (name, ids) in self.of(delivery) {
            let ids = ids.iter().map(|id| Value::from(id.clone()));
            said.push((name, Value::set_of(ids.collect::<Vec<Value>>())?));
        }
        for (name, ids) in said {
            delivery.document.set(&at.key(name), Some(ids))?;
        }
        delivery.document.set(&at.key("id"), Some(list.into()))?;
        delivery.document.set(&at.key("files"), Some(Value::Keyed(files)))?;
        delivery.scope.push(at);
        Ok(())
    }
}
