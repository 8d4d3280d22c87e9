//! The table of codes. To add one, add a row; the compiler and the tests then name every place that needs to know.
//!
//! A row is: name, slug, HTTP status, exit of the command line, whether a retry can help; what happened; what to do.

use super::{Area, Exit, Meaning, Retry};

macro_rules! codes {
    ($($area:ident {
        $($name:ident $slug:literal $status:literal $exit:ident $retry:ident: $summary:literal $action:literal)+
    })+) => {
        /// Why a request was refused or an operation failed: a stable code for programs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $summary] $name,)+)+
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$($(Self::$name,)+)+];

            /// Everything there is to say about it.
            pub fn meaning(self) -> &'static Meaning {
                match self {
                    $($(Self::$name => &Meaning {
                        slug: $slug,
                        area: Area::$area,
                        status: $status,
                        exit: Exit::$exit,
                        retry: Retry::$retry,
                        summary: $summary,
                        action: $action,
                    },)+)+
                }
            }
        }
    };
}

codes! {
    Request {
        MalformedJson "malformed-json" 400 Refused No:
            "The body is not JSON."
            "Send valid JSON."
        MalformedRequest "malformed-request" 400 Refused No:
            "The request is not HTTP/1.1, or has no `Host` header or more than one."
            "Send valid HTTP/1.1 with one `Host` header."
        MalformedForm "malformed-form" 400 Refused No:
            "The form cannot be read, or a part is missing, repeated or unknown."
            "Send the part `component`, and `signature` if there is one, each once."
        MalformedSignature "malformed-signature" 400 Refused No:
            "The signature of a component is not text."
            "Send what the component's `.sig` file holds."
        BadIdempotencyKey "bad-idempotency-key" 400 Refused No:
            "`Idempotency-Key` is empty, too long, repeated, or has characters that are not visible ASCII."
            "Send the header once, with 1 to 255 visible ASCII characters. A UUID is a good key."
        NotATenant "not-a-tenant" 400 Refused No:
            "The request means a tenant by a text that is neither a number nor a name."
            "Give the tenant's number without sign and leading zeros, or its name, percent-encoded in a path."
        Truncated "truncated" 400 Refused Later:
            "The body ended before all of it arrived."
            "Send the request again."
        NotLocal "not-local" 403 Refused No:
            "The server is in development mode, and the request does not come from this machine."
            "Send the request on the server's machine, to `localhost`, `127.0.0.1` or `[::1]`."
        NotFound "not-found" 404 NotFound No:
            "There is no such tenant, operation, plugin or organization, or it belongs to another organization."
            "List what exists: `convergence list`, `convergence operation list`, `convergence plugin list`."
        NoSuchPath "no-such-path" 404 Failed No:
            "The server has no such route."
            "Check the path and the server's address. `/api-docs` lists every route."
        WrongMethod "wrong-method" 405 Refused No:
            "The route does not answer this method."
            "Use a method that `/api-docs` lists for the route."
        TenantGone "tenant-gone" 410 NotFound No:
            "An earlier request with the same idempotency key made a tenant, and that tenant was destroyed since."
            "Choose a new idempotency key to make a new tenant."
        UploadTooSlow "upload-too-slow" 408 Refused Later:
            "The archive did not arrive in time."
            "Send the archive again over a quicker connection, or send less."
        TooLarge "too-large" 413 Refused No:
            "The body is larger than the server accepts."
            "Send less: at most 1 MiB of JSON. Strip debug information from a component. Leave out of an archive what is installed or generated."
        UriTooLong "uri-too-long" 414 Refused No:
            "The path and query are longer than the server accepts."
            "Send less in the query."
        NotJson "not-json" 415 Refused No:
            "The body has another content type than JSON."
            "Send JSON with `Content-Type: application/json`."
        NotAComponent "not-a-component" 415 Refused No:
            "The body has a content type that a component cannot be sent with."
            "Send a component with `Content-Type: application/wasm`."
        NotAnArchive "not-an-archive" 415 Refused No:
            "The body has a content type that an archive cannot be sent with."
            "Send an archive with `Content-Type: application/gzip`, `application/x-tar`, `application/zstd` or `application/zip`."
        EncodedBody "encoded-body" 415 Refused No:
            "The body is compressed, and the server does not decompress."
            "Send the body as it is, without `Content-Encoding`."
        Invalid "invalid" 422 Refused No:
            "A field is wrong, a policy refuses the request, or the template cannot serve it."
            "Change each field that `violations` names, then send the request again."
        ArchiveRefused "archive-refused" 422 Refused No:
            "The archive cannot be read, or has something in it that a source must not have."
            "Change what the message names, pack the folder again and send it."
        ChecksumMismatch "checksum-mismatch" 422 Refused Later:
            "The archive that arrived is not the one that `Content-Digest` tells of."
            "Send the archive again."
        IdempotencyKeyReused "idempotency-key-reused" 422 Refused No:
            "The idempotency key was sent with another request before."
            "Choose a new key for a new request."
        HeadersTooLarge "headers-too-large" 431 Refused No:
            "The headers are larger or more than the server accepts."
            "Send fewer and shorter headers."
    }
    Tenant {
        NotInThisState "not-in-this-state" 409 Refused AfterFix:
            "A tenant in this state cannot be asked to do that."
            "The detail says what the tenant is doing and what it can be asked for."
        Protected "protected" 409 Refused AfterFix:
            "The tenant is protected, and is destroyed only when it is named again."
            "Send its name as `confirm`, or end the protection."
        ConfirmMismatch "confirm-mismatch" 409 Refused No:
            "What was given as `confirm` is not the tenant's name."
            "Check that it is the tenant you mean; nothing was done."
        NameTaken "name-taken" 409 Refused No:
            "A tenant of the organization has this name. Case makes no difference."
            "Choose another name, or destroy the tenant that has it."
        NameAmbiguous "name-ambiguous" 409 Refused No:
            "More than one tenant has this name if case makes no difference. An earlier version accepted such names."
            "Use the tenant's number, or its name as `convergence list` shows it."
        TenantBusy "tenant-busy" 409 Refused Later:
            "Another operation on the tenant is not finished. `operation` names it."
            "Wait until the operation that `operation` names is finished, then send the request again."
        OperationOver "operation-over" 409 Refused No:
            "The operation is finished."
            "Look at its state with `convergence operation show`."
        NotCancellable "not-cancellable" 409 Refused No:
            "What an operation of this kind does cannot be undone."
            "Wait until it is finished."
        NotRetryable "not-retryable" 409 Refused No:
            "The operation is neither stuck nor one that failed and left its tenant as it is, or something else was done to the tenant since."
            "Send the request that began the operation again."
        KindUnknown "kind-unknown" 409 Refused AfterFix:
            "This server does not know operations of this kind, and leaves them alone."
            "Run a version of the server that knows the kind. The operation then continues."
        CheckpointNewer "checkpoint-newer" 409 Refused AfterFix:
            "A newer version of the server wrote the operation's state, and this version leaves it alone."
            "Run the newer version. The operation then continues."
        NewerRevision "newer-revision" 409 Refused Later:
            "Other deployments of the tenant came at the same time."
            "Send the request again."
        ChangedMeanwhile "changed-meanwhile" 409 Refused Later:
            "Somebody else changed the tenant's configuration at the same time."
            "Send the request again."
        Deploying "deploying" 409 Refused Later:
            "A deployment of the tenant is under way. A change that waits for the next deployment would be lost."
            "Wait until the deployment is over, or deploy the change at once."
        RingFixed "ring-fixed" 409 Refused AfterFix:
            "No key can be added to the key ring, since it comes from the environment."
            "Add a key to it there, and start the server again."
        KeyNeeded "key-needed" 409 Refused AfterFix:
            "Values are sealed with this key, or it is the key that seals."
            "Rotate the key ring, and wait until that operation is over."
        VolumeInUse "volume-in-use" 409 Refused AfterFix:
            "The tenant's current revision mounts the volume, or a revision that is not up yet, or a container in the engine does."
            "Deploy a revision that does not mount it, or destroy the tenant with all its volumes."
        SourcesFull "sources-full" 507 Failed AfterFix:
            "The organization keeps as many sources as it may, or the server's disk is nearly full."
            "Wait until unused sources are removed, or let the operator raise `keep-max-mb` in [sources] or free the disk."
        GitFailed "git-failed" 502 Failed Later:
            "A Git host did not answer in time, has no valid certificate, or sent what git cannot use."
            "Try again; check that the host answers, and its certificate."
        GitUnusable "git-unusable" 503 Failed AfterFix:
            "The server has no git that it can use."
            "Let the operator install git 2.37 or later on the server."
        RevisionUnusable "revision-unusable" 409 Refused No:
            "The revision cannot be restored: it runs, never ran, or its image was removed."
            "Choose another revision that `convergence deployments` lists as ready, or deploy again."
        QuotaReached "quota-reached" 422 Refused AfterFix:
            "The organization has as many tenants as it may have."
            "Destroy a tenant, or let the operator raise `max-per-organization` in [tenants] of the configuration."
        LimitsExceedMachine "limits-exceed-machine" 422 Refused No:
            "The limits ask for more than the machine has, or for less than the engine can give."
            "Ask for limits within the bounds that the message names."
        Unsupported "unsupported" 422 Refused No:
            "The runtime of this server does not offer what the request needs."
            "Leave out what the message names, or use a server with another runtime."
        PortsExhausted "ports-exhausted" 503 Failed Later:
            "No port of the range for tenants is free."
            "Destroy a tenant, or let the operator widen `ports` in [tenants] of the configuration."
        SubnetsExhausted "subnets-exhausted" 503 Failed Later:
            "No network of the pool for tenants is free."
            "Destroy a tenant, or let the operator widen `subnets` in [tenants] of the configuration."
        UploadsBusy "uploads-busy" 503 Failed Later:
            "As many uploads as the server receives at the same time are under way."
            "Send the archive again in a few seconds."
        QueueFull "queue-full" 503 Failed Later:
            "As many operations as the server accepts are queued or running."
            "Send the request again in a moment. The operator can raise `queue-max` in [operations] of the configuration."
    }
    Step {
        Cancelled "cancelled" 409 Failed No:
            "Somebody cancelled the operation."
            "Send the request again if you still want it."
        BuildFailed "build-failed" 422 Failed AfterFix:
            "A command of the image build failed, or the build took too long."
            "Read the last lines of the build in `log`; `likelyCause` names the usual causes."
        BaseImageUnavailable "base-image-unavailable" 422 Failed AfterFix:
            "A base image is not on the machine and cannot be pulled."
            "Check the name and the registry, load the image, or map it with [images] in the configuration."
        BaseImageRefused "base-image-refused" 422 Failed No:
            "The base image has `ONBUILD` triggers or declares a `VOLUME`, or the image to run has neither `ENTRYPOINT` nor `CMD`, or too many arguments."
            "Use another base image, or add a `CMD` to the Dockerfile."
        AppExited "app-exited" 422 Failed AfterFix:
            "The app ended, or the kernel ended it because it used more memory than its limit."
            "Read the app's last lines in `log`. Raise `limits.memoryMb` if memory is the cause."
        AppNotReady "app-not-ready" 422 Failed AfterFix:
            "The app runs and does not pass its health check in time."
            "Listen on `0.0.0.0:$PORT` and answer the health path with a 2xx status. Raise `ready-seconds` if the app is slow."
        SourceGone "source-gone" 422 Failed AfterFix:
            "The image has to be built again, and the source that it was built from is not kept any more."
            "Deploy the application again."
        SecretUnreadable "secret-unreadable" 500 Failed AfterFix:
            "A secret of the tenant cannot be opened: the server's key ring is another one, or the database was altered."
            "Restore `keyring` in the server's data folder from a backup, or set the secret again."
        RingUnusable "ring-unusable" 500 Failed AfterFix:
            "The server's key ring cannot be read, or no key can be added to it."
            "Check the file `keyring` in the server's data folder, then retry the operation."
        StepPanicked "step-panicked" 500 Failed AfterFix:
            "A step ended because of a defect in the server."
            "Report it with the server's log of the operation, then retry the operation."
        UnknownCode "unknown-code" 500 Failed AfterFix:
            "Another version of the server stored a code that this version does not know. `recordedCode` holds it."
            "Read the failure's message, or run the version of the server that stored it."
        ContainerDeviates "container-deviates" 502 Failed AfterFix:
            "The engine made a container that is not what it was asked for. It was never started."
            "Check the engine's configuration (`daemon.json`) and its plugins."
        NameTakenInEngine "name-taken-in-engine" 502 Failed AfterFix:
            "Something in the engine that does not belong to this installation has the name that is needed."
            "Remove it, or give this server another `name-prefix` in the configuration."
        StoreFailed "store-failed" 502 Failed AfterFix:
            "The database refused a statement, or rows are missing."
            "Look at the server's log and at `convergence doctor`, then send the request again."
        StoreConflict "store-conflict" 502 Failed AfterFix:
            "The database holds something else than the operation expects."
            "Look at the server's log for the operation."
        GaveUp "gave-up" 502 Failed AfterFix:
            "Server after server ended while it worked on the operation."
            "Fix the cause that the server's log names, then retry the operation or destroy the tenant."
        PortsTaken "ports-taken" 503 Failed Later:
            "Other programs listen on the ports that were tried."
            "Find them (`ss -ltnp`), or choose another range for `ports` in the configuration."
        SubnetTaken "subnet-taken" 503 Failed Later:
            "Other networks of the machine use the addresses that were tried."
            "Choose another pool for `subnets` in the configuration."
        DeadlinePassed "deadline-passed" 504 Failed Later:
            "What the operation waited for did not happen in time."
            "Find out what it waited for in its events, then send the request again."
    }
    Plugin {
        NoSuchVersion "no-such-version" 409 Refused No:
            "The plugin has no such version."
            "Choose a version that `convergence plugin show` lists."
        PluginRefused "plugin-refused" 409 Refused No:
            "The change conflicts with the plugins that are installed. Nothing was changed."
            "Do what the message says, then send the request again."
        PluginRejected "plugin-rejected" 422 Refused No:
            "The component failed a check. Nothing was changed."
            "Fix the component. `convergence plugin check` runs the same checks without a server."
        PlanRefused "plan-refused" 502 Failed AfterFix:
            "A template's plan is not allowed, or the rules became stricter after it was accepted."
            "Tell the template's author. If the rules changed, send the request again."
        PluginFailed "plugin-failed" 502 Failed AfterFix:
            "A plugin broke or did not answer."
            "Look at the server's log and at `convergence plugin stats`."
        RegistryFailed "registry-failed" 502 Failed Later:
            "The component could not be fetched from its registry."
            "Check the reference, the registry and its credentials in [registries] of the configuration."
        NoTemplates "no-templates" 503 Failed AfterFix:
            "No language template is active."
            "Put a template component into the plugins folder. `convergence doctor` names the folder."
        PolicyRejected "policy-rejected" 503 Failed AfterFix:
            "A policy is installed that cannot be asked, so the server accepts nothing."
            "Fix the policy's file or configuration, or disable it. `convergence doctor` names it."
        PluginSuspended "plugin-suspended" 503 Failed Later:
            "A plugin broke several times in a row, and the server does not ask it for a while."
            "Send the request again after `Retry-After`. `convergence plugin stats` counts what happened."
        Contended "contended" 503 Failed Later:
            "Other requests changed the plugins at the same time."
            "Send the request again in a moment."
        Overloaded "overloaded" 503 Failed Later:
            "Too many plugin calls are waiting."
            "Send the request again in a few seconds."
    }
    Server {
        Internal "internal" 500 Failed AfterFix:
            "The server has a defect, or cannot read what it stored."
            "Find `requestId` in the server's log, which holds the cause."
        EngineError "engine-error" 502 Failed AfterFix:
            "The container engine refused what it was asked, or the builds cannot be bounded as the configuration asks."
            "Look at the engine's log. If the bounds of builds are the cause, run the server as root on the engine's machine, or remove `memory-mb`, `cpu-millis` and `pids` from [build]."
        EngineUnreachable "engine-unreachable" 503 Failed Later:
            "No container engine answers."
            "Run `convergence doctor` on the server's machine, then send the request again."
        EngineTimeout "engine-timeout" 503 Failed Later:
            "The container engine did not answer in time."
            "Look at the engine's log and at the load of the machine, then send the request again."
        StoreBusy "store-busy" 503 Failed Later:
            "The database is busy with other transactions. Nothing was changed."
            "Send the request again in a few seconds."
        StoreUnavailable "store-unavailable" 503 Failed Later:
            "The database does not answer."
            "Look at the database and at the server's log, then send the request again."
        InstallationMismatch "installation-mismatch" 503 Failed AfterFix:
            "The database, the data folder and the engine do not belong to the same installation."
            "Restore the database, `master.key` and `installation` that belong together."
        Starting "starting" 503 Failed Later:
            "The server is starting: it compiles plugins."
            "Send the request again in a moment. `/ready` tells what it is doing."
        Stopping "stopping" 503 Failed Later:
            "The server is stopping."
            "Send the request again in a moment, to the server that starts next."
    }
}
