//! By which indexes SQLite finds rows.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use diesel::prelude::*;

use super::body::{ResourceRow, selecting};
use super::dialect::{self, Db};
use crate::model::ResourceId;
use crate::store::Selected;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text)]
    detail: String,
}

#[test]
fn services_that_select_are_found_without_reading_the_others() {
    let mut line = dialect::scratch().unwrap();
    let conn = line.conn();
    for (what, index) in [
        (Selected::Services, "resource_selects_services"),
        (Selected::Containers, "resource_selects_containers"),
    ] {
        let query = selecting(ResourceId(5), what).select(ResourceRow::as_select());
        let text = diesel::debug_query::<Db, _>(&query).to_string();
        let (text, _) = text.split_once(" -- binds").unwrap();
        let plan = diesel::sql_query(format!("EXPLAIN QUERY PLAN {text}")).bind::<diesel::sql_types::BigInt, _>(5);
        let plan: Vec<String> = plan
            .load(conn)
            .unwrap()
            .into_iter()
            .map(|line: Line| line.detail)
            .collect();
        let expected = format!("SEARCH resource USING INDEX {index} (root=? AND account_id=?)");
        assert_eq!(plan.first(), Some(&expected), "{plan:?}");
        assert!(!plan.iter().any(|line| line.contains("TEMP B-TREE")), "{plan:?}");
    }
}
