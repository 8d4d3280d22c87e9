//! An organization logs in to registries, is shown which, and logs out; passwords are not shown.

use serde_json::json;

use super::site::Site;

#[tokio::test]
async fn a_login_is_listed_without_its_password_until_the_logout() {
    let site = Site::bare().await;
    let path = "/api/v1/registries/registry.example:5000";
    let empty = site.ask("GET", "/api/v1/registries").await;
    assert_eq!((empty.status.as_u16(), empty.document), (200, json!({ "registries": [] })));
    assert_eq!(site.ask("DELETE", path).await.status, 404);

    let body = json!({ "user": "robot", "password": "correct horse" });
    let kept = site.json("PUT", path, &body).await;
    assert_eq!(kept.status, 200, "{kept:?}");
    assert_eq!((&kept.document["host"], &kept.document["user"]), (&json!("registry.example:5000"), &json!("robot")));
    let again = site.json("PUT", &format!("{path}?org_id=1"), &json!({ "user": "other", "password": "battery" })).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(site.json("PUT", &format!("{path}?org_id=77"), &body).await.status, 404);
    let listed = site.ask("GET", "/api/v1/registries").await.document;
    assert_eq!(listed["registries"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["registries"][0]["user"], "other", "{listed}");
    assert!(
        listed["registries"][0]["actor"].is_string() && listed["registries"][0]["createdAt"].is_string(),
        "{listed}"
    );
    for text in [kept.document.to_string(), again.document.to_string(), listed.to_string()] {
        assert!(!text.contains("correct horse") && !text.contains("battery"), "{text}");
    }

    let gone = site.ask("DELETE", path).await;
    assert_eq!(gone.status, 204, "{gone:?}");
    assert_eq!(site.ask("DELETE", path).await.status, 404);
    assert_eq!(site.ask("DELETE", "/api/v1/registries/NOT A HOST".replace(' ', "%20").as_str()).await.status, 404);
}

#[tokio::test]
async fn what_is_wrong_with_a_login_is_told_without_the_password() {
    let site = Site::bare().await;
    let long = format!("planted{}", "x".repeat(20_000));
    for (host, user, password, wrong) in [
        ("Registry.example", "robot", "planted", vec!["host"]),
        ("registry", "robot", "planted", vec!["host"]),
        ("registry.example:70000", "robot", "planted", vec!["host"]),
        ("https:%2F%2Fregistry.example", "robot", "planted", vec!["host"]),
        ("registry.example", "", "planted", vec!["user"]),
        ("registry.example", "ro:bot", "planted", vec!["user"]),
        ("registry.example", "robot", "", vec!["password"]),
        ("registry.example", "robot", "planted\0", vec!["password"]),
        ("registry.example", "robot", long.as_str(), vec!["password"]),
        ("registry", "", "", vec!["host", "user", "password"]),
    ] {
        let body = json!({ "user": user, "password": password });
        let refused = site.json("PUT", &format!("/api/v1/registries/{host}"), &body).await;
        assert_eq!(refused.status, 422, "{host} {user}: {refused:?}");
        let violations = refused.document["violations"].as_array().unwrap();
        let fields: Vec<_> = violations.iter().map(|violation| violation["path"].as_str().unwrap()).collect();
        assert_eq!(fields, wrong, "{host} {user}: {refused:?}");
        assert!(!refused.document.to_string().contains("planted"), "{refused:?}");
    }
    let listed = site.ask("GET", "/api/v1/registries").await.document;
    assert_eq!(listed, json!({ "registries": [] }));
}
