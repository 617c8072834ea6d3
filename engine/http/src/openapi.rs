//! `GET /v1/openapi.json`: what is served here, for programs (OpenAPI 3.1). The document is written by hand;
//! `tests/openapi/run` holds it against what a replica answers.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// The document.
const DOCUMENT: &str = include_str!("../openapi.json");

pub(crate) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use assize_metrics::{CONTENT_TYPE, STAGES};
    use serde_json::Value;

    use super::*;
    use crate::ROUTES;

    fn read() -> Value {
        serde_json::from_str(DOCUMENT).expect("the document is JSON")
    }

    fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
        value.as_object().unwrap_or_else(|| panic!("{value} is no object")).iter()
    }

    #[test]
    fn it_has_what_is_served_and_nothing_else() {
        let document = read();
        let mut described = BTreeSet::new();
        for (path, operations) in members(&document["paths"]) {
            described.extend(members(operations).map(|(method, _)| (path.clone(), method.to_uppercase())));
        }
        let served = ROUTES.iter().map(|(path, method)| ((*path).to_owned(), (*method).to_owned()));
        assert_eq!(described, served.collect());
    }

    /// Whatever is referred to is there, and whatever is there is referred to.
    #[test]
    fn its_parts_fit() {
        let document = read();
        let mut referred = BTreeSet::new();
        let mut unseen = Vec::from([&document]);
        while let Some(value) = unseen.pop() {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').expect("a reference into the document");
                assert!(document.pointer(pointer).is_some(), "{reference} is nowhere");
                referred.insert(pointer.to_owned());
            }
            match value {
                Value::Array(list) => unseen.extend(list),
                Value::Object(members) => unseen.extend(members.values()),
                _ => {}
            }
        }
        for (kind, parts) in members(&document["components"]) {
            for (name, _) in members(parts) {
                let pointer = format!("/components/{kind}/{name}");
                assert!(referred.contains(&pointer), "nothing refers to {pointer}");
            }
        }
    }

    /// A path's parameters are those in its name, and whoever is told of a member is told whether it is always there.
    #[test]
    fn it_names_what_it_describes() {
        let document = read();
        for (path, operations) in members(&document["paths"]) {
            let named: BTreeSet<&str> =
                path.split(['{', '}']).skip(1).step_by(2).filter(|name| !name.is_empty()).collect();
            for (method, operation) in members(operations) {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let in_path = parameters.filter(|parameter| parameter["in"] == "path");
                let described = in_path.filter_map(|parameter| parameter["name"].as_str()).collect();
                assert_eq!(named, described, "{method} {path}");
            }
        }
        for (name, schema) in members(&document["components"]["schemas"]) {
            for required in schema["required"].as_array().into_iter().flatten() {
                let described = required.as_str().and_then(|required| schema["properties"].get(required));
                assert!(described.is_some(), "{name} requires {required}, and does not describe it");
            }
        }
    }

    #[test]
    fn it_has_the_words_of_the_metrics() {
        let document = read();
        let stages = &document["components"]["schemas"]["StageStatus"]["properties"]["stage"]["enum"];
        assert_eq!(*stages, serde_json::json!(STAGES));
        let metrics = &document["paths"]["/metrics"]["get"]["responses"]["200"]["content"];
        assert!(members(metrics).map(|(kind, _)| kind).eq([CONTENT_TYPE]), "{metrics}");
    }
}
