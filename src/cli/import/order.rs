//! In which order policies are written that refer to each other.

/// The places of `count` things, each after those that it needs; what needs itself in a circle comes in its own order, last.
pub(super) fn order(count: usize, needs: impl Fn(usize) -> Vec<usize>) -> Vec<usize> {
    let needs: Vec<Vec<usize>> = (0..count).map(needs).collect();
    let mut ordered = Vec::with_capacity(count);
    let mut placed = vec![false; count];
    loop {
        let before = ordered.len();
        for (n, needed) in needs.iter().enumerate() {
            let is_placed = |n: &usize| placed.get(*n).copied().unwrap_or(true);
            if !is_placed(&n) && needed.iter().all(|other| *other == n || is_placed(other)) {
                ordered.push(n);
                if let Some(placed) = placed.get_mut(n) {
                    *placed = true;
                }
            }
        }
        if ordered.len() == before {
            ordered.extend((0..count).filter(|n| placed.get(*n) == Some(&false)));
            return ordered;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn what_is_needed_comes_first() {
        let needs = [vec![2], vec![], vec![1], vec![3, 0], vec![5], vec![4]];
        assert_eq!(order(needs.len(), |n| needs[n].clone()), [1, 2, 0, 3, 4, 5]);
        assert_eq!(order(0, |_| Vec::new()), Vec::<usize>::new());
    }
}
