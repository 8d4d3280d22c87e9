//! Tenants on real containers.

mod docker_compose;
mod docker_failures;
mod docker_languages;
mod docker_literal;
mod docker_restart;
mod docker_tour;
