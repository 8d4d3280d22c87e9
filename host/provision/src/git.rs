//! Applications in Git repositories: the commit is fetched once, when it is asked for, and is a source like others from then on.

use convergence_model::{GitCommit, GitSource, OrgId};
use convergence_source::GitAddress;

use crate::{PlanError, Provisioner};

impl Provisioner {
    /// The repository with the commit that was fetched of it, which the organization keeps, and what is to be told of how it
    /// was received. One that was fetched already stays at its commit.
    pub(crate) async fn fetched(&self, org: OrgId, git: GitSource) -> Result<(GitSource, Vec<String>), PlanError> {
        if git.fetched.is_some() {
            return Ok((git, Vec::new()));
        }
        let GitSource { url, reference, token, .. } = git;
        let address = GitAddress::parse(&url, reference.as_deref())?;
        let fetched = self.sources.fetch(&address, token.as_ref(), &self.settings.git).await?;
        self.keep_source(org, &fetched.received).await?;
        let (received, commit) = (fetched.received, fetched.commit);
        let fetched = GitCommit { commit, digest: received.digest };
        Ok((GitSource { url: address.url(), reference, token: None, fetched: Some(fetched) }, received.notes))
    }
}
