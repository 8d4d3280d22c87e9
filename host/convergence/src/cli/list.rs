//! `convergence list`

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::age::ago;
use super::client::Client;
use super::exit::Failure;
use super::output::{Output, table};
use super::spawn::plain;

/// Whose tenants.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// List the tenants of this organization only [default: all in reach].
    #[arg(long, value_name = "ID")]
    org: Option<i64>,
}

/// Lists tenants, all pages of them.
pub(crate) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let mut tenants: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut query: Vec<(&str, String)> = vec![("limit", "1000".to_owned())];
        query.extend(arguments.org.map(|org| ("org_id", org.to_string())));
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let (_, mut page) = client.json(client.request(Method::GET, "/api/v1/tenant").query(&query)).await?;
        if let Some(Value::Array(more)) = page.get_mut("tenants") {
            tenants.append(more);
        }
        match page.get("nextCursor").and_then(Value::as_str) {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    output.result(&json!({ "tenants": tenants }), || {
        if tenants.is_empty() {
            return "no tenants; `convergence spawn NAME --language node` makes one".to_owned();
        }
        let row = |tenant: &Value| {
            let part = |key: &str| tenant.pointer(key).map(plain).unwrap_or_default();
            let age = ago(tenant, "createdAt");
            vec![part("/envId"), part("/name"), part("/status"), part("/port"), age, part("/reason/message")]
        };
        let rows: Vec<Vec<String>> = tenants.iter().map(row).collect();
        table(&["ID", "NAME", "STATUS", "PORT", "CREATED", "REASON"], &rows)
    });
    Ok(())
}
