//! What belongs together in two lists. Knows nothing of what is in them.

use std::collections::BTreeMap;

/// The largest table that is filled to align two lists; beyond it, equal places are tried only.
const CELLS_MAX: usize = 4_000_000;

/// Which items of the first list have become which of the second.
#[derive(Debug, Default)]
pub(super) struct Pairing {
    /// By the place in the first list.
    to: BTreeMap<usize, usize>,
    /// By the place in the second list.
    from: BTreeMap<usize, usize>,
}

impl Pairing {
    pub fn pair(&mut self, before: usize, after: usize) {
        self.to.insert(before, after);
        self.from.insert(after, before);
    }

    pub fn after_of(&self, before: usize) -> Option<usize> {
        self.to.get(&before).copied()
    }

    pub fn before_of(&self, after: usize) -> Option<usize> {
        self.from.get(&after).copied()
    }

    /// Every pair, by the first.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        self.to.iter().map(|(before, after)| (*before, *after))
    }

    /// What of the first list, which has `count` items, has no partner.
    pub fn removed(&self, count: usize) -> Vec<usize> {
        (0..count).filter(|before| !self.to.contains_key(before)).collect()
    }

    /// What of the second list, which has `count` items, has no partner.
    pub fn added(&self, count: usize) -> Vec<usize> {
        (0..count).filter(|after| !self.from.contains_key(after)).collect()
    }

    /// Pairs items of the same key that have no partner yet: the first with the first, the second with the second.
    pub fn pair_by_key<K: Ord>(&mut self, before: &[Option<K>], after: &[Option<K>]) {
        let mut open: BTreeMap<&K, std::collections::VecDeque<usize>> = BTreeMap::new();
        for n in self.added(after.len()) {
            if let Some(Some(key)) = after.get(n) {
                open.entry(key).or_default().push_back(n);
            }
        }
        for n in self.removed(before.len()) {
            let Some(Some(key)) = before.get(n) else { continue };
            if let Some(partner) = open.get_mut(key).and_then(std::collections::VecDeque::pop_front) {
                self.pair(n, partner);
            }
        }
    }

    /// Pairs items that have no partner yet without crossing among themselves, so that the weights come to as much as can be
    /// had; a weight of 0 is no pair.
    pub fn pair_in_order(&mut self, counts: (usize, usize), weight: impl Fn(usize, usize) -> u32) {
        let (rows, columns) = (self.removed(counts.0), self.added(counts.1));
        for (row, column) in aligned(&rows, &columns, weight) {
            self.pair(row, column);
        }
    }

    /// The pairs that have kept their order: as many as can be, of all those that there are.
    pub fn kept_in_order(&self) -> Vec<(usize, usize)> {
        let pairs: Vec<(usize, usize)> = self.pairs().collect();
        let mut longest: Vec<(u32, Option<usize>)> = Vec::with_capacity(pairs.len());
        for (n, (_, after)) in pairs.iter().enumerate() {
            let before = longest.iter().zip(&pairs).enumerate().take(n);
            let best = before
                .filter(|(_, (_, (_, other)))| other < after)
                .max_by_key(|(at, (own, _))| (own.0, std::cmp::Reverse(*at)));
            longest.push(best.map_or((1, None), |(at, (own, _))| (own.0 + 1, Some(at))));
        }
        let last = longest.iter().enumerate().max_by_key(|(at, own)| (own.0, std::cmp::Reverse(*at)));
        let mut at = last.map(|(at, _)| at);
        let mut kept = Vec::new();
        while let Some(place) = at {
            kept.extend(pairs.get(place).copied());
            at = longest.get(place).and_then(|own| own.1);
        }
        kept.reverse();
        kept
    }
}

/// The pairs of an alignment of greatest weight.
fn aligned(rows: &[usize], columns: &[usize], weight: impl Fn(usize, usize) -> u32) -> Vec<(usize, usize)> {
    if rows.len().saturating_mul(columns.len()) > CELLS_MAX {
        let same = rows.iter().zip(columns).filter(|(row, column)| weight(**row, **column) > 0);
        return same.map(|(row, column)| (*row, *column)).collect();
    }
    // The best of what is left, from each place on.
    let width = columns.len() + 1;
    let mut best = vec![0_u32; (rows.len() + 1) * width];
    let at = |best: &[u32], row: usize, column: usize| best.get(row * width + column).copied().unwrap_or(0);
    for (r, row) in rows.iter().enumerate().rev() {
        for (c, column) in columns.iter().enumerate().rev() {
            let own = weight(*row, *column);
            let paired = if own > 0 { own + at(&best, r + 1, c + 1) } else { 0 };
            let most = paired.max(at(&best, r + 1, c)).max(at(&best, r, c + 1));
            if let Some(cell) = best.get_mut(r * width + c) {
                *cell = most;
            }
        }
    }
    let (mut r, mut c, mut pairs) = (0, 0, Vec::new());
    while let (Some(row), Some(column)) = (rows.get(r), columns.get(c)) {
        let own = weight(*row, *column);
        let here = at(&best, r, c);
        if own > 0 && here == own + at(&best, r + 1, c + 1) {
            pairs.push((*row, *column));
            (r, c) = (r + 1, c + 1);
        } else if here == at(&best, r + 1, c) {
            r += 1;
        } else {
            c += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weightiest_alignment_is_found_and_crosses_nothing() {
        let weights = [[1, 5, 0], [3, 1, 1], [0, 0, 2]];
        let mut pairing = Pairing::default();
        pairing.pair_in_order((3, 3), |r, c| weights[r][c]);
        assert_eq!(pairing.pairs().collect::<Vec<_>>(), [(0, 1), (2, 2)]);
        assert_eq!((pairing.removed(3), pairing.added(3)), (vec![1], vec![0]));
    }

    #[test]
    fn what_moved_is_as_little_as_can_be() {
        let mut pairing = Pairing::default();
        pairing.pair_by_key(&["a", "b", "c", "d"].map(Some), &["b", "c", "d", "a"].map(Some));
        assert_eq!(pairing.kept_in_order(), [(1, 0), (2, 1), (3, 2)]);
        assert_eq!((pairing.after_of(0), pairing.before_of(0)), (Some(3), Some(1)));
    }

    #[test]
    fn equal_keys_pair_in_their_order() {
        let mut pairing = Pairing::default();
        pairing.pair_by_key(&[Some(1), None, Some(1)], &[Some(1), Some(2), Some(1)]);
        assert_eq!(pairing.pairs().collect::<Vec<_>>(), [(0, 0), (2, 2)]);
    }
}
