//! Who images are pulled as: the organization of the tenant, at the registry of the image, and nobody anywhere else.

use convergence_model::operation::{Operation, OperationState};
use convergence_model::{Code, OrgId, RegistryCredentials, RegistryHost, Scope, Secret, Source};
use convergence_provision::LoginError;
use convergence_render::ImagePolicy;
use convergence_render::images::Pattern;
use convergence_runtime::fake::Fault;
use convergence_runtime::{Pull, RuntimeError};
use convergence_store::{Conflict, StoreError};

use crate::bench::Site;
use crate::deployments::Stage;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
const IMAGE: &str = "registry.example:5000/team/app:1";

fn credentials(host: &str, password: &str) -> RegistryCredentials {
    let host = RegistryHost::parse(host).unwrap();
    RegistryCredentials { host, user: "robot".to_owned(), password: Secret::new(password) }
}

/// A stage where images of these registries may be run.
async fn stage() -> Stage {
    let mut site = Site::new().await;
    let allow = ["official", "registry.example:5000/team/app", "other.example/app"].map(Pattern::parse).into();
    site.settings.images = ImagePolicy { allow, ..ImagePolicy::default() };
    Stage::on(site).await
}

impl Stage {
    fn org(&self) -> OrgId {
        self.bench.site.caller.home()
    }

    async fn log_in(&self, credentials: &RegistryCredentials) {
        let (scope, caller) = (Scope::platform(), &self.bench.site.caller);
        self.bench.provisioner.log_in(&scope, caller, self.org(), credentials).await.unwrap();
    }

    async fn run_image(&self, image: &str) -> Operation {
        let deployed = self.accept(Source::Image(image.to_owned())).await;
        self.outcome(&deployed).await
    }

    /// How images were asked for since the last time.
    fn pulls(&self) -> Vec<(String, Pull)> {
        let pulls = self.bench.runtime.pulls();
        self.bench.runtime.forget_journal();
        pulls
    }
}

#[tokio::test]
async fn credentials_reach_the_registry_that_they_are_for_and_no_other_one() {
    let stage = stage().await;
    let (first, second) =
        (credentials("registry.example:5000", "first"), credentials("registry.example:5000", "second"));
    stage.pulls();
    assert_eq!(stage.run_image(IMAGE).await.state, OperationState::Succeeded);
    assert_eq!(stage.pulls(), [(IMAGE.to_owned(), Pull::default())], "nobody is logged in");

    stage.log_in(&credentials("registry.example", "another port")).await;
    stage.log_in(&first).await;
    assert_eq!(stage.run_image(IMAGE).await.state, OperationState::Succeeded);
    let with = |credentials: &RegistryCredentials| Pull { credentials: Some(credentials.clone()), ask_registry: true };
    assert_eq!(stage.pulls(), [(IMAGE.to_owned(), with(&first))]);
    stage.log_in(&second).await;
    assert_eq!(stage.run_image(IMAGE).await.state, OperationState::Succeeded);
    assert_eq!(stage.pulls(), [(IMAGE.to_owned(), with(&second))], "a later login takes the place of an earlier one");

    for image in ["other.example/app:1", "nginx:1"] {
        assert_eq!(stage.run_image(image).await.state, OperationState::Succeeded);
        assert_eq!(stage.pulls(), [(image.to_owned(), Pull::default())]);
    }

    let (scope, caller) = (Scope::platform(), &stage.bench.site.caller);
    assert!(stage.bench.provisioner.log_out(&scope, caller, stage.org(), &first.host).await.unwrap());
    assert!(!stage.bench.provisioner.log_out(&scope, caller, stage.org(), &first.host).await.unwrap());
    assert_eq!(stage.run_image(IMAGE).await.state, OperationState::Succeeded);
    // The engine still has it, and gives it to nobody whom the registry does not let pull it.
    assert_eq!(stage.pulls(), [(IMAGE.to_owned(), Pull { credentials: None, ask_registry: true })]);
}

#[tokio::test]
async fn a_pull_that_needs_a_login_says_what_to_do() {
    let stage = stage().await;
    let message = "unauthorized: authentication required".to_owned();
    let denied = RuntimeError::PullFailed { reference: IMAGE.to_owned(), message };
    stage.bench.runtime.next("newest_image", Fault::Before(denied));
    let failure = stage.run_image(IMAGE).await.failure.unwrap();
    assert_eq!(failure.code.code(), Code::BaseImageUnavailable);
    assert!(failure.next.contains("`convergence registry login registry.example:5000 --user NAME`"), "{failure:?}");
}

#[tokio::test]
async fn an_organization_that_is_not_there_does_not_log_in() {
    let stage = stage().await;
    let (scope, caller) = (Scope::platform(), &stage.bench.site.caller);
    let credentials = credentials("registry.example", "first");
    let refused = stage.bench.provisioner.log_in(&scope, caller, OrgId(77), &credentials).await.unwrap_err();
    let is_absent = matches!(refused, LoginError::Store(StoreError::Conflict(Conflict::NoOrganization(OrgId(77)))));
    assert!(is_absent, "{refused:?}");
}

#[tokio::test]
async fn rotating_the_ring_seals_passwords_anew() {
    let stage = stage().await;
    let credentials = credentials("registry.example:5000", "first");
    stage.log_in(&credentials).await;
    let before = stage.bench.store.sealing_keys().await.unwrap();
    assert_eq!(before.iter().map(|key| key.values).collect::<Vec<_>>(), [1]);
    let rotation = stage.bench.provisioner.rotate_keys(&stage.bench.site.caller).await.unwrap();
    let rotation = stage.bench.operations.outcome(rotation.id, PATIENCE).await.unwrap();
    assert_eq!(rotation.state, OperationState::Succeeded, "{:?}", rotation.failure);
    let after = stage.bench.store.sealing_keys().await.unwrap();
    let values: Vec<_> = after.iter().map(|key| (key.id == before[0].id, key.values)).collect();
    assert!(values.len() == 2 && values.contains(&(true, 0)) && values.contains(&(false, 1)), "{values:?}");
    stage.bench.provisioner.retire_key(&stage.bench.site.caller, &before[0].id).await.unwrap();
    stage.pulls();
    assert_eq!(stage.run_image(IMAGE).await.state, OperationState::Succeeded);
    assert_eq!(stage.pulls(), [(IMAGE.to_owned(), Pull { credentials: Some(credentials), ask_registry: true })]);
}
