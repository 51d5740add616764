//! A host whose engine is named by the API.

use serde_json::json;

use crate::matrix::{Scenario, check};
use crate::world::{Mode, Step};

#[test]
fn a_host_is_added_given_away_and_removed() {
    let hosts = |action, from| Step::Act {
        path: "/v2-beta/hosts",
        name: "east",
        action,
        from,
        body: json!({}),
    };
    let add = Step::Create {
        path: "/v2-beta/hosts",
        name: "east",
        body: json!({"hostname": "east", "dockerUrl": "tcp://10.9.8.7:2375", "labels": {"disk": "ssd"}}),
    };
    let give = Step::Put {
        path: "/v2-beta/hosts",
        name: "east",
        body: json!({"accountId": "$shop"}),
    };
    let run = Step::Create {
        path: "/v2-beta/projects/$shop/containers",
        name: "alone",
        body: json!({"imageUuid": "sim:one"}),
    };
    let before = vec![
        Step::Create {
            path: "/v2-beta/projects",
            name: "shop",
            body: json!({}),
        },
        Step::Rest,
    ];
    let then = vec![
        add,
        Step::Rest,
        hosts("deactivate", &["active"]),
        Step::Rest,
        give,
        hosts("activate", &["inactive"]),
        Step::Rest,
        run,
        Step::Rest,
        hosts("deactivate", &["active"]),
        Step::Rest,
        hosts("remove", &["inactive"]),
        Step::Rest,
    ];
    let scenario = Scenario {
        name: "added",
        before,
        then,
    };
    check(&scenario, Mode::Plain);
}
