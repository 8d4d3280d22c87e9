//! Language templates: how an application becomes an image and a service.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::bindings::described::exports::convergence::plugin::metadata;
use crate::bindings::template::convergence::template::template_types;
use crate::bindings::template::exports::convergence::template::generator;
use crate::{Description, PluginError};

pub use template_types::{
    Base, BuildPlan, Cache, CopyFiles, Detection, File, Health, Language, Origin, Probe, Request, Run, Secret, Service,
    Source, Stage, Step, Volume, Writable,
};

mod command;
mod plan;
mod request;

pub use command::split_command;

/// A language template. Make a component of it with [`register_template!`](crate::register_template).
///
/// Functions have no `self`: every call runs in a fresh instance, so there is nothing to remember. The same request
/// must give the same plan, byte for byte, because what is built is named after it.
pub trait Template {
    /// The configuration, read from its JSON before every call; [`NoConfig`](crate::NoConfig) where there is none.
    type Config: DeserializeOwned;

    /// Says what the template is. Always the same.
    fn describe() -> Description;

    /// The languages served. Always the same.
    fn languages() -> Vec<Language>;

    /// Patterns (gitignore syntax, from the root of the source) of the files that `detect` and `plan` read.
    fn wants() -> Vec<String> {
        Vec::new()
    }

    /// Whether the application in `request.source` is in one of the languages.
    ///
    /// # Errors
    ///
    /// Only where the source is clearly meant for this template and cannot be understood.
    fn detect(request: &Request, config: &Self::Config) -> Result<Option<Detection>, PluginError>;

    /// Turns a request into a plan.
    ///
    /// # Errors
    ///
    /// [`PluginError::InvalidInput`] or [`PluginError::Unsupported`], with what the caller can do about it.
    fn plan(request: &Request, config: &Self::Config) -> Result<BuildPlan, PluginError>;
}

/// Joins a [`Template`] to the component's exports.
#[doc(hidden)]
#[derive(Debug)]
pub struct Export<T>(PhantomData<T>);

impl<T: Template> metadata::Guest for Export<T> {
    fn describe() -> Description {
        crate::panic::report_to_host();
        T::describe()
    }
}

impl<T: Template> generator::Guest for Export<T> {
    fn languages() -> Vec<Language> {
        crate::panic::report_to_host();
        T::languages()
    }

    fn wants() -> Vec<String> {
        crate::panic::report_to_host();
        T::wants()
    }

    fn detect(request: Request) -> Result<Option<Detection>, PluginError> {
        crate::panic::report_to_host();
        T::detect(&request, &crate::config::parse(&request.config)?)
    }

    fn plan(request: Request) -> Result<BuildPlan, PluginError> {
        crate::panic::report_to_host();
        T::plan(&request, &crate::config::parse(&request.config)?)
    }
}

/// Makes a component of a type that implements [`Template`]: once in a crate, at its root.
#[macro_export]
macro_rules! register_template {
    ($template:ty) => {
        #[allow(dead_code, missing_docs, unsafe_code, unreachable_pub)]
        const _: () = {
            type ConvergenceExport = $crate::__private::TemplateExport<$template>;
            const fn is_a_template<T: $crate::template::Template>() {}
            is_a_template::<$template>();
            // Exports have names that only WebAssembly linkers take.
            #[cfg(target_arch = "wasm32")]
            use $crate::__private::{described, template};
            #[cfg(target_arch = "wasm32")]
    $crate::__private::described::export_described!(ConvergenceExport with_types_in described);
            #[cfg(target_arch = "wasm32")]
    $crate::__private::template::export_template!(ConvergenceExport with_types_in template);
        };
    };
}
