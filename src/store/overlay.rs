//! Changes that are in the journal and not yet in the engine's own files, over the engine's rows.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::engine::{Change, Held, Row};
use super::error::StoreError;

/// Keys and what they are since; none where the row is gone.
pub(crate) type Table = BTreeMap<Vec<u8>, Option<Held>>;

/// What a row takes in memory besides its octets.
const ROW: usize = 128;

/// The changes of the file that is written to, over those that are being folded.
#[derive(Default)]
pub(crate) struct Overlay {
    young: Table,
    old: Option<Arc<Table>>,
    size: usize,
}

impl Overlay {
    /// About the octets of the young ones.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn take(&mut self, changes: Vec<Change>) {
        for (key, value) in changes {
            self.size += key.len() + value.as_ref().map_or(0, |held| held.len()) + ROW;
            let fresh = key.len() + ROW;
            if let Some(before) = self.young.insert(key, value) {
                let before = fresh + before.map_or(0, |before| before.len());
                self.size = self.size.saturating_sub(before);
            }
        }
    }

    /// The young ones become old ones.
    pub(crate) fn age(&mut self) -> Arc<Table> {
        self.size = 0;
        let old = Arc::new(std::mem::take(&mut self.young));
        self.old = Some(Arc::clone(&old));
        old
    }

    /// The old ones are in the engine.
    pub(crate) fn folded(&mut self) {
        self.old = None;
    }

    /// A row, if it changed; `Some(None)` where it is gone.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<&Held>> {
        let old = || self.old.as_ref().and_then(|old| old.get(key));
        self.young.get(key).or_else(old).map(Option::as_ref)
    }

    /// The engine's rows of `from..to` with the changes over them, at most `limit`. `rows` are in the
    /// same order.
    pub(crate) fn merged(
        &self,
        (from, to): (&[u8], &[u8]),
        limit: usize,
        back: bool,
        rows: impl Iterator<Item = Result<Row, StoreError>>,
    ) -> Result<Vec<Row>, StoreError> {
        let span = || (Bound::Included(from), Bound::Excluded(to));
        let none = Table::new();
        let old = self.old.as_deref().unwrap_or(&none);
        let young = self.young.range::<[u8], _>(span());
        let old = old.range::<[u8], _>(span());
        if back {
            merge(young.rev(), old.rev(), rows, limit, |a, b| b.cmp(a))
        } else {
            merge(young, old, rows, limit, |a, b| a.cmp(b))
        }
    }
}

/// Three sorted runs as one: of one key, the first run's row counts.
fn merge<'a>(
    young: impl Iterator<Item = (&'a Vec<u8>, &'a Option<Held>)>,
    old: impl Iterator<Item = (&'a Vec<u8>, &'a Option<Held>)>,
    rows: impl Iterator<Item = Result<Row, StoreError>>,
    limit: usize,
    order: impl Fn(&[u8], &[u8]) -> Ordering,
) -> Result<Vec<Row>, StoreError> {
    let (mut young, mut old) = (young.peekable(), old.peekable());
    let mut rows = rows.peekable();
    let mut found = Vec::new();
    while found.len() < limit {
        if let Some(error) = rows.next_if(Result::is_err) {
            error?;
        }
        let heads = [
            young.peek().map(|(key, _)| key.as_slice()),
            old.peek().map(|(key, _)| key.as_slice()),
            rows.peek()
                .and_then(|row| row.as_ref().ok())
                .map(|(key, _)| key.as_slice()),
        ];
        let Some(first) = heads.iter().flatten().min_by(|a, b| order(a, b)) else {
            break;
        };
        let [in_young, in_old, in_rows] = heads.map(|head| head == Some(*first));
        let young = if in_young { young.next() } else { None };
        let old = if in_old { old.next() } else { None };
        let row = if in_rows {
            rows.next().transpose()?
        } else {
            None
        };
        match young.or(old) {
            Some((key, Some(value))) => found.push((key.clone(), value.to_vec())),
            Some((_, None)) => {}
            None => found.extend(row),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A few keys, so that runs meet.
    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let value = proptest::option::of(any::<u8>().prop_map(|octet| Arc::new(vec![octet])));
        proptest::collection::vec((0_u8..12, value), 0..12)
            .prop_map(|rows| rows.into_iter().map(|(k, v)| (vec![k], v)).collect())
    }

    proptest! {
        #[test]
        fn rows_under_changes_are_as_if_the_changes_were_made(
            engine in proptest::collection::btree_map(0_u8..12, any::<u8>(), 0..12),
            old in changes(),
            young in changes(),
            from in 0_u8..12,
            to in 0_u8..13,
            limit in 0_usize..14,
            back in any::<bool>(),
        ) {
            let engine: BTreeMap<_, _> = engine.into_iter().map(|(k, v)| (vec![k], vec![v])).collect();
            let mut overlay = Overlay::default();
            overlay.take(old.clone());
            let aged = overlay.age();
            overlay.take(young.clone());
            let mut model = engine.clone();
            for (key, value) in old.into_iter().chain(young) {
                match value {
                    Some(value) => drop(model.insert(key, value.to_vec())),
                    None => drop(model.remove(&key)),
                }
            }
            let (from, to) = (vec![from], vec![to.max(from)]);
            let rows = engine.range(from.clone()..to.clone()).map(|(k, v)| Ok((k.clone(), v.clone())));
            let wanted = model.range(from.clone()..to.clone()).map(|(k, v)| (k.clone(), v.clone()));
            let span = (from.as_slice(), to.as_slice());
            let (found, wanted): (_, Vec<Row>) = if back {
                (overlay.merged(span, limit, true, rows.rev()), wanted.rev().take(limit).collect())
            } else {
                (overlay.merged(span, limit, false, rows), wanted.take(limit).collect())
            };
            prop_assert_eq!(found.unwrap(), wanted);
            for key in 0_u8..12 {
                let key = vec![key];
                let found = overlay.get(&key).map(|held| held.map(|held| held.as_ref()));
                let found = found.unwrap_or_else(|| engine.get(&key));
                prop_assert_eq!(found, model.get(&key));
            }
            let octets = |table: &Table| -> usize {
                table.iter().map(|(k, v)| k.len() + v.as_ref().map_or(0, |v| v.len()) + ROW).sum()
            };
            prop_assert_eq!(overlay.size(), octets(&overlay.young));
            drop(aged);
        }
    }
}
