//! Services by MedStack Control's interface, as scenarios.

use actix_web::http::Method;
use serde_json::json;

use crate::scenarios::matrix;
use crate::world::{Step, World};

const NAME: &str = "web";

impl World {
    /// The address of something in the Default project as MedStack Control's interface has it.
    pub async fn medstack(&self, rest: &str) -> String {
        let base = "/medstack/v1/companies";
        let (_, company) = self.send(Method::GET, &format!("{base}/current"), None).await;
        let base = format!("{base}/{}/clusters", company["id"].as_str().expect("an id"));
        let (_, clusters) = self.send(Method::GET, &base, None).await;
        let clusters = clusters["data"].as_array().cloned().unwrap_or_default();
        let own = clusters.iter().find(|cluster| cluster["label"] == "Default");
        let id = own.and_then(|own| own["id"].as_str()).expect("the Default project");
        format!("{base}/{id}{rest}")
    }

    /// The id of a service of this name there.
    pub async fn served(&self, name: &str) -> Option<String> {
        let url = self.medstack("/services").await;
        let (_, list) = self.send(Method::GET, &url, None).await;
        let all = list["data"].as_array().cloned().unwrap_or_default();
        let found = all.iter().find(|service| service["name"] == name)?;
        Some(found["id"].as_str().expect("an id").to_owned())
    }
}

#[test]
fn a_service_that_is_made_changed_and_removed_by_medstack_control() {
    let made = Step::Serve {
        name: NAME,
        body: json!({"image": "sim:one", "replicas": 2, "environment_variables": [{"key": "A", "value": "1"}]}),
    };
    let scaled = Step::Change {
        name: NAME,
        body: json!({"replicas": 3}),
    };
    let changed = Step::Change {
        name: NAME,
        body: json!({"image": "sim:two", "update_parallelism": 0, "update_monitor": 1}),
    };
    let steps = vec![
        made,
        Step::Rest,
        scaled,
        Step::Settle,
        changed,
        Step::Rest,
        Step::End(NAME),
        Step::Rest,
    ];
    matrix("served", vec![], steps);
}
