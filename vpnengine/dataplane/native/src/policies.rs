//! Policies as Python hands them over.

use std::sync::Arc;

use pyo3::prelude::*;
use rustc_hash::FxHashMap;

use crate::flow::{Selector, Span};
use crate::table::{Policy, PolicyTable};

/// (IP version, local first, local last, remote first, remote last, protocol, local port, remote port).
pub type SelectorRow = (u8, u128, u128, u128, u128, u8, u16, u16);

/// Policies and what is looked up of them. It is made beforehand, on any thread: the event loop only swaps it in.
#[pyclass(frozen)]
#[derive(Default)]
pub struct Policies {
    pub by_number: FxHashMap<u64, Arc<Policy>>,
    pub table: Arc<PolicyTable>,
}

#[pymethods]
impl Policies {
    /// Exactly these: (number, selector, acquire). Those whose number `before` has are taken over as they are.
    #[new]
    #[pyo3(signature = (rows, before=None))]
    fn new(
        py: Python<'_>,
        rows: Vec<(u64, SelectorRow, bool)>,
        before: Option<Bound<'_, Self>>,
    ) -> Self {
        let before = before.as_ref().map(Bound::get);
        py.detach(|| Self::build(rows, before))
    }
}

impl Policies {
    fn build(rows: Vec<(u64, SelectorRow, bool)>, before: Option<&Self>) -> Self {
        let policy = |(number, row, acquire): (u64, SelectorRow, bool)| {
            let kept = before.and_then(|before| before.by_number.get(&number));
            kept.cloned()
                .unwrap_or_else(|| Arc::new(Policy::new(number, selector(&row), acquire)))
        };
        let list: Vec<_> = rows.into_iter().map(policy).collect();
        let table = Arc::new(PolicyTable::new(&list));
        let by_number = list.into_iter().map(|policy| (policy.number, policy));
        Self {
            by_number: by_number.collect(),
            table,
        }
    }
}

pub fn selector(row: &SelectorRow) -> Selector {
    let (
        version,
        local_first,
        local_last,
        remote_first,
        remote_last,
        protocol,
        local_port,
        remote_port,
    ) = *row;
    Selector {
        v6: version == 6,
        local: Span {
            first: local_first,
            last: local_last,
        },
        remote: Span {
            first: remote_first,
            last: remote_last,
        },
        protocol,
        local_port,
        remote_port,
    }
}
