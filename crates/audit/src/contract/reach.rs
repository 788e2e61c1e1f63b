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

    /// Takes everything out; the room is kept.
    pub(crate) fn clear(&mut self) {
        self.words.clear();
    }

    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The numbers in either, ascending.
    pub(crate) fn either<'b>(&'b self, other: &'b Bits) -> impl Iterator<Item = usize> + 'b {
        let words = self.words.len().max(other.words.len());
        (0..words).flat_map(move |at| ones(at, self.word(at) | other.word(at)))
    }

    /// The numbers that are in one of `sets` and not in `of` at the same place, ascending.
    pub(crate) fn beyond<'b>(sets: [&'b Bits; 2], of: [&'b Bits; 2]) -> impl Iterator<Item = usize> + 'b {
        let [(left, no_left), (right, no_right)] = [(sets[0], of[0]), (sets[1], of[1])];
        (0..left.words.len().max(right.words.len())).flat_map(move |at| {
            ones(at, (left.word(at) & !no_left.word(at)) | (right.word(at) & !no_right.word(at)))
        })
    }

    fn word(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(0)
    }
}

/// The numbers that the word at `at` stands for.
fn ones(at: usize, mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        (word != 0).then(|| {
            word &= word - 1;
            at * 64 + bit
        })
    })
}

/// For each operation, the units that its requests may hold, and those that its answers may.
///
/// Most operations of a large description reach the same many units and few of their own: kept are, for each operation, the
/// sets that it names, and the units are put together when they are asked for.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// What one unit leads to, for each set of units that lead to each other.
    sets: Vec<Bits>,
    operations: Vec<Named>,
}

/// The sets that an operation names in its requests and its answers, each the largest first.
#[derive(Debug, Default)]
struct Named {
    request: Vec<usize>,
    response: Vec<usize>,
}

/// The largest set that an operation reaches in its requests and its answers: what many operations have in common.
pub(crate) type Base = (Option<usize>, Option<usize>);

impl Reach {
    /// `edges` of unit to unit, and for each operation the units it names itself.
    pub(crate) fn of(edges: &[&[u32]], direct: &[(Vec<u32>, Vec<u32>)]) -> Reach {
        let Closure { component, sets } = closure(edges);
        let sizes: Vec<usize> = sets.iter().map(Bits::count).collect();
        let size = |set: &usize| sizes.get(*set).copied().unwrap_or(0);
        let named = |units: &[u32]| {
            let mut named: Vec<usize> =
                units.iter().filter_map(|unit| component.get(*unit as usize).copied()).collect();
            named.sort_unstable_by(|a, b| size(b).cmp(&size(a)).then(a.cmp(b)));
            named.dedup();
            named
        };
        let operations = direct
            .iter()
            .map(|(request, response)| Named { request: named(request), response: named(response) })
            .collect();
        Reach { sets, operations }
    }

    /// Adds the units that the requests of an operation may hold.
    pub(crate) fn join_request(&self, operation: usize, units: &mut Bits) {
        let named = self.operations.get(operation).map(|named| named.request.as_slice());
        self.join(named.unwrap_or_default(), units);
    }

    /// Adds the units that the answers of an operation may hold.
    pub(crate) fn join_response(&self, operation: usize, units: &mut Bits) {
        let named = self.operations.get(operation).map(|named| named.response.as_slice());
        self.join(named.unwrap_or_default(), units);
    }

    fn join(&self, named: &[usize], units: &mut Bits) {
        named.iter().filter_map(|set| self.sets.get(*set)).for_each(|set| units.join(set));
    }

    pub(crate) fn base(&self, operation: usize) -> Base {
        let named = self.operations.get(operation);
        let first = |list: fn(&Named) -> &Vec<usize>| named.and_then(|named| list(named).first().copied());
        (first(|named| &named.request), first(|named| &named.response))
    }

    /// The units of a base, in requests and in answers.
    pub(crate) fn of_base(&self, (request, response): Base) -> (&Bits, &Bits) {
        let set = |set: Option<usize>| set.and_then(|set| self.sets.get(set)).unwrap_or(&NOTHING);
        (set(request), set(response))
    }
}

static NOTHING: Bits = Bits { words: Vec::new() };

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

    fn list(bits: &Bits) -> Vec<usize> {
        bits.either(&NOTHING).collect()
    }

    fn request(reach: &Reach, operation: usize) -> Bits {
        let mut units = Bits::default();
        reach.join_request(operation, &mut units);
        units
    }

    #[test]
    fn cycles_and_shared_parts_are_reached() {
        // 0 -> 1 -> 2 -> 0, 2 -> 3 -> 70; 4 alone.
        let mut edges: Vec<&[u32]> = vec![&[1], &[2], &[0, 3], &[70], &[]];
        edges.resize(71, &[]);
        let reach = Reach::of(&edges, &[(vec![1], vec![4]), (vec![3], vec![]), (vec![4, 2], vec![])]);
        assert_eq!(list(&request(&reach, 0)), [0, 1, 2, 3, 70]);
        let mut response = Bits::default();
        reach.join_response(0, &mut response);
        assert_eq!(list(&response), [4]);
        assert_eq!(list(&request(&reach, 1)), [3, 70]);
        assert!(list(&request(&reach, 9)).is_empty());
        assert!(!request(&reach, 1).has(500));
        // What the first and the last have in common is the cycle, and what it leads to.
        assert_eq!(reach.base(0).0, reach.base(2).0);
        let (base, none) = reach.of_base((reach.base(2).0, None));
        let all = request(&reach, 2);
        assert_eq!(Bits::beyond([&all, &NOTHING], [base, none]).collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let next: Vec<[u32; 1]> = (1..=50_000).map(|next| [next % 50_000]).collect();
        let edges: Vec<&[u32]> = next.iter().map(|one| one.as_slice()).collect();
        let reach = Reach::of(&edges, &[(vec![7], vec![])]);
        assert_eq!(request(&reach, 0).count(), 50_000);
    }
}
