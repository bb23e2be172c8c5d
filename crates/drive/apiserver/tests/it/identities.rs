//! Who may do what: anonymous, tokens of service accounts, wrong tokens, acting as another.

use km_api::resource::{CONFIG_MAPS, ROLE_BINDINGS, ROLES, SERVICE_ACCOUNTS};
use km_api::{Options, Reason, Response};
use km_client::DeleteOptions;
use serde_json::json;

use crate::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_reads_nothing_and_a_wrong_token_is_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let refused = server.network(None).list(&CONFIG_MAPS, "default", Options::default()).await.unwrap_err();
    assert_eq!(
        refused.message,
        r#"configmaps is forbidden: User "system:anonymous" cannot list resource "configmaps" in API group "" in the namespace "default""#
    );
    for token in ["nonsense", "a.b.c", "abcdef.0123456789abcdef"] {
        let refused = server.network(Some(token)).list(&CONFIG_MAPS, "default", Options::default()).await.unwrap_err();
        assert!(refused.is(Reason::Unauthorized), "{token}: {refused:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_account_token_is_worth_what_its_roles_allow_while_the_account_lives() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let admin = server.client();
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app"}});
    admin.create(&SERVICE_ACCOUNTS, "default", account.to_string()).await.unwrap();
    let ask = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}).to_string();
    let answer = admin.post(&SERVICE_ACCOUNTS, "default", "app", "token", ask).await.unwrap();
    let (Response::Object(answer) | Response::Created(answer)) = answer else { panic!("{answer:?}") };
    let token = answer.to_value()["status"]["token"].as_str().unwrap().to_owned();
    let app = server.network(Some(&token));
    let refused = app.list(&CONFIG_MAPS, "default", Options::default()).await.unwrap_err();
    assert!(refused.is(Reason::Forbidden), "{refused:?}");
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]});
    admin.create(&ROLES, "default", role.to_string()).await.unwrap();
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "app", "namespace": "default"}]});
    admin.create(&ROLE_BINDINGS, "default", binding.to_string()).await.unwrap();
    app.list(&CONFIG_MAPS, "default", Options::default()).await.unwrap();
    let as_app = ["get", "cm", "-o", "name", "--as=system:serviceaccount:default:app"];
    server.kubectl(&as_app).await;
    admin.delete(&SERVICE_ACCOUNTS, "default", "app", DeleteOptions::default()).await.unwrap();
    let refused = app.list(&CONFIG_MAPS, "default", Options::default()).await.unwrap_err();
    assert!(refused.is(Reason::Unauthorized), "{refused:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acting_as_another_has_that_ones_rights() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let output = server.try_kubectl(&["auth", "can-i", "create", "pods", "--as=jane"], "").await;
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "no");
    server.stop().await;
}
