//! A tenant is meant by its number or by its name, wherever a route takes one.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::site::{Answer, Site};

/// Every route that takes a tenant.
const ROUTES: [(&str, &str); 8] = [
    ("GET", ""),
    ("GET", "/status"),
    ("GET", "/logs"),
    ("GET", "/dockerfile"),
    ("GET", "/compose"),
    ("GET", "/volumes"),
    ("POST", "/repair"),
    ("DELETE", ""),
];

impl Site {
    async fn about(&self, method: &str, tenant: &str, verb: &str) -> Answer {
        self.ask(method, &format!("/api/v1/tenant/{tenant}{verb}")).await
    }
}

/// The answer without what differs from request to request.
fn lasting(answer: Answer) -> (StatusCode, Value) {
    let mut document = answer.document;
    for changing in ["requestId", "uptime", "cpuUsage", "memoryUsage", "measuredAt"] {
        if let Some(value) = document.get_mut(changing) {
            *value = Value::Null;
        }
    }
    (answer.status, document)
}

#[tokio::test]
async fn every_route_that_takes_a_tenant_takes_its_name() {
    let site = Site::new().await;
    assert_eq!(site.spawn("My App").await.status, 201);
    for (method, verb) in ROUTES.into_iter().filter(|(method, _)| *method == "GET") {
        let by_number = lasting(site.about(method, "1", verb).await);
        assert_eq!(by_number.0, 200, "{verb}");
        for name in ["My%20App", "my%20app", "%4dy%20App"] {
            assert_eq!(lasting(site.about(method, name, verb).await), by_number, "{name}{verb}");
        }
    }
    let operations = site.ask("GET", "/api/v1/operations?tenant=my%20app").await.document;
    assert_eq!(operations["operations"][0]["subject"], "tenant/1", "{operations}");
    let both = |env_id: i64| format!("/api/v1/operations?tenant=my%20app&env_id={env_id}");
    assert_eq!(site.ask("GET", &both(1)).await.document["operations"][0]["subject"], "tenant/1");
    assert_eq!(site.ask("GET", &both(2)).await.document["operations"], json!([]), "no operation is of both");

    assert_eq!(site.about("POST", "my%20app", "/repair").await.status, 202);
    let gone = site.about("DELETE", "MY%20APP", "").await;
    assert_eq!(gone.status, 200, "{gone:?}");
    assert_eq!(site.about("GET", "my%20app", "/status").await.status, 404);
    // Its number is still that of what was done to it; its name is free.
    assert_eq!(site.ask("GET", "/api/v1/operations?tenant=1").await.document["operations"][0]["kind"], "destroy");
    assert_eq!(site.spawn("my app").await.document["tenant"]["envId"], 2);
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_the_same_404_as_a_number() {
    let site = Site::bare().await;
    for (method, verb) in ROUTES {
        let by_number = lasting(site.about(method, "7", verb).await);
        assert_eq!((by_number.0, &by_number.1["code"]), (StatusCode::NOT_FOUND, &json!("not-found")));
        assert_eq!(lasting(site.about(method, "my-app", verb).await), by_number, "{method} {verb}");
    }
    assert_eq!(site.ask("GET", "/api/v1/operations?tenant=my-app").await.status, 404);
}

#[tokio::test]
async fn what_is_neither_a_number_nor_a_name_is_refused_and_says_why() {
    let site = Site::new().await;
    assert_eq!(site.spawn("app").await.document["tenant"]["envId"], 1);
    for (text, why) in [
        ("+1", "no sign"),
        ("-1", "no sign"),
        ("%2B1", "no sign"),
        ("01", "no leading zero"),
        ("99999999999999999999", "larger than any"),
        ("%C3%BCnic%C3%B6de", "'ü'"),
        ("a%2Fb", "'/'"),
        ("%FF", "UTF-8"),
        ("%20", "begin and end"),
    ] {
        for (method, verb) in ROUTES {
            let answer = site.about(method, text, verb).await;
            assert_eq!((answer.status.as_u16(), &answer.document["code"]), (400, &json!("not-a-tenant")), "{text}");
            assert!(
                answer.document["detail"].as_str().is_some_and(|detail| detail.contains(why)),
                "{text}: {answer:?}"
            );
        }
    }
    assert_eq!(site.about("GET", "1", "/status").await.status, 200, "nothing happened to it");
}

#[tokio::test]
async fn a_new_name_is_no_number_no_word_of_the_paths_and_taken_whatever_its_case() {
    let site = Site::new().await;
    assert_eq!(site.spawn("my-app").await.status, 201);
    let taken = site.spawn("My-App").await;
    assert_eq!((taken.status.as_u16(), &taken.document["code"]), (409, &json!("name-taken")));
    assert!(
        taken.document["detail"].as_str().is_some_and(|detail| detail.contains("1 has the name my-app")),
        "{taken:?}"
    );
    for refused in ["36", "0", "036", "plan", "Spawn"] {
        let answer = site.spawn(refused).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.document["violations"][0]["path"]),
            (422, &json!("name")),
            "{refused}"
        );
    }
}
