//! Which operations use which schemas, through any number of references.

/// A set of small numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    pub(crate) fn has(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    pub(crate) fn set(&mut self, index: usize) {
        if self.words.len() <= index / 64 {
            self.words.resize(index / 64 + 1, 0);
        }
        if let Some(word) = self.words.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    pub(crate) fn join(&mut self, other: &Bits) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    /// The numbers in it, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                (rest != 0).then(|| {
                    rest &= rest - 1;
                    at * 64 + bit
                })
            })
        })
    }
}

/// For each operation, the units that its requests may hold, and those that its answers may.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    operations: Vec<(Bits, Bits)>,
}

static NOTHING: Bits = Bits { words: Vec::new() };

impl Reach {
    /// `edges` of unit to unit, and for each operation the units it names itself.
    pub(crate) fn of(edges: &[&[u32]], direct: &[(Vec<u32>, Vec<u32>)]) -> Reach {
        let units = closure(edges);
        let join = |named: &[u32]| {
            let mut all = Bits::default();
            for unit in named {
                if let Some(bits) = units.component.get(*unit as usize).and_then(|at| units.sets.get(*at)) {
                    all.join(bits);
                }
            }
            all
        };
        Reach {
            operations: direct.iter().map(|(request, response)| (join(request), join(response))).collect(),
        }
    }

    pub(crate) fn request(&self, operation: usize) -> &Bits {
        self.operations.get(operation).map_or(&NOTHING, |(request, _)| request)
    }

    pub(crate) fn response(&self, operation: usize) -> &Bits {
        self.operations.get(operation).map_or(&NOTHING, |(_, response)| response)
    }
}

/// What each unit leads to, itself included: one set for all units of a cycle.
struct Closure {
    component: Vec<usize>,
    sets: Vec<Bits>,
}

/// Tarjan's strongly connected components, without recursion: they come out in an order in which whatever one
/// leads to is ready before it.
fn closure(edges: &[&[u32]]) -> Closure {
    const NEW: usize = usize::MAX;
    let count = edges.len();
    let (mut order, mut low) = (vec![NEW; count], vec![NEW; count]);
    let mut closure = Closure { component: vec![NEW; count], sets: Vec::new() };
    let (mut path, mut next) = (Vec::new(), 0);
    for root in 0..count {
        if order.get(root) != Some(&NEW) {
            continue;
        }
        let mut calls = vec![(root, 0)];
        while let Some((unit, edge)) = calls.pop() {
            if edge == 0 {
                put(&mut order, unit, next);
                put(&mut low, unit, next);
                next += 1;
                path.push(unit);
            }
            let targets = edges.get(unit).copied().unwrap_or_default();
            if let Some(target) = targets.get(edge).map(|target| *target as usize) {
                calls.push((unit, edge + 1));
                match order.get(target).copied().unwrap_or(0) {
                    NEW => calls.push((target, 0)),
                    seen if closure.component.get(target) == Some(&NEW) => {
                        let least = at(&low, unit).min(seen);
                        put(&mut low, unit, least);
                    }
                    _ => {}
                }
                continue;
            }
            if let Some((parent, _)) = calls.last() {
                let least = at(&low, *parent).min(at(&low, unit));
                put(&mut low, *parent, least);
            }
            if at(&low, unit) == at(&order, unit) {
                let mut set = Bits::default();
                let id = closure.sets.len();
                let first = path.iter().rposition(|member| *member == unit).unwrap_or(0);
                for member in path.split_off(first) {
                    put(&mut closure.component, member, id);
                    set.set(member);
                    for target in edges.get(member).copied().unwrap_or_default() {
                        let known = closure.component.get(*target as usize);
                        if let Some(other) = known.and_then(|known| closure.sets.get(*known)) {
                            set.join(other);
                        }
                    }
                }
                closure.sets.push(set);
            }
        }
    }
    closure
}

fn at(list: &[usize], index: usize) -> usize {
    list.get(index).copied().unwrap_or(0)
}

fn put(list: &mut [usize], index: usize, value: usize) {
    if let Some(place) = list.get_mut(index) {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_and_shared_parts_are_reached() {
        // 0 -> 1 -> 2 -> 0, 2 -> 3 -> 70; 4 alone.
        let mut edges: Vec<&[u32]> = vec![&[1], &[2], &[0, 3], &[70], &[]];
        edges.resize(71, &[]);
        let reach = Reach::of(&edges, &[(vec![1], vec![4]), (vec![3], vec![])]);
        assert_eq!(reach.request(0).iter().collect::<Vec<_>>(), [0, 1, 2, 3, 70]);
        assert_eq!(reach.response(0).iter().collect::<Vec<_>>(), [4]);
        assert_eq!(reach.request(1).iter().collect::<Vec<_>>(), [3, 70]);
        assert!(reach.request(9).iter().next().is_none());
        assert!(!reach.request(1).has(500));
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let next: Vec<[u32; 1]> = (1..=50_000).map(|next| [next % 50_000]).collect();
        let edges: Vec<&[u32]> = next.iter().map(|one| one.as_slice()).collect();
        let reach = Reach::of(&edges, &[(vec![7], vec![])]);
        assert_eq!(reach.request(0).iter().count(), 50_000);
    }
}
