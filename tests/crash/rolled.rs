//! Templates of BRIDGEPORT's that are brought to servers, as a scenario. (One that fails is tried again for ever, and has no end to compare.)

use serde_json::json;

use crate::scenarios::matrix;
use crate::world::Step;

/// A second host, beside the server's own.
fn with_host() -> Vec<Step> {
    let host = Step::Create {
        path: "/v2-beta/hosts",
        name: "east",
        body: json!({"hostname": "east", "dockerUrl": "tcp://10.9.8.7:2375"}),
    };
    vec![host, Step::Rest]
}

#[test]
fn a_template_is_brought_to_one_server_after_the_other() {
    let to = |tag| Step::Roll { image: "sim:web", tag };
    let then = vec![to("one"), Step::Settle, Step::Rest, to("two"), Step::Rest];
    matrix("rolled", with_host(), then);
}
