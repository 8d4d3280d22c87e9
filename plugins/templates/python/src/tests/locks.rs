//! What is installed, by which tool.

use super::*;

const PROJECT: &str = "[project]\nname='my-shop'\ndependencies=['flask']\n";
const POETRY: &str = "[tool.poetry]\nname='my-shop'\n[tool.poetry.dependencies]\npython='^3.11'\nflask='*'\n";

fn installed(files: &[(&str, &str)]) -> (String, Vec<(Origin, String)>, String) {
    let files = files.iter().copied().chain([("main.py", "")]);
    let plan = plan(&Request::application("demo", files));
    (commands(&plan.stages[0]).join("\n"), copies(&plan.stages[0]), notes(&plan))
}

#[test]
fn each_tool_installs_what_it_locked() {
    for (manifest, text, lock, package, command) in [
        (
            "pyproject.toml",
            PROJECT,
            "uv.lock",
            "uv==0.13.9",
            "/opt/tool/bin/uv sync --locked --no-dev --no-editable --no-progress --python /app/.venv/bin/python \
             --no-install-project",
        ),
        (
            "pyproject.toml",
            POETRY,
            "poetry.lock",
            "poetry==2.5.1",
            "/opt/tool/bin/poetry install --only main --no-interaction --no-ansi --no-root",
        ),
        (
            "pyproject.toml",
            PROJECT,
            "pdm.lock",
            "pdm[locked]==2.29.3",
            "/opt/tool/bin/pdm install --check --prod --no-editable --no-self",
        ),
        (
            "Pipfile",
            "[packages]\nflask='*'\n",
            "Pipfile.lock",
            "pipenv==2026.10.3",
            "/opt/tool/bin/pipenv install --deploy",
        ),
    ] {
        let (commands, copies, notes) = installed(&[(manifest, text), (lock, "")]);
        let expected = [
            "python3 -m venv /opt/tool".to_owned(),
            format!("/opt/tool/bin/python -m pip --no-input --disable-pip-version-check install {package}"),
            "python3 -m venv --without-pip /app/.venv".to_owned(),
            command.to_owned(),
        ];
        assert_eq!(commands, expected.join("\n"), "{lock}");
        let copied = if lock == "Pipfile.lock" { ".".to_owned() } else { format!("{manifest} {lock}") };
        assert_eq!(copies, [(Origin::Source, copied)], "{lock}");
        assert!(notes.contains(&format!("Dependencies: {lock}, installed by `{package}`")), "{notes}");
    }
}

#[test]
fn the_application_is_installed_where_it_is_a_package() {
    let built = format!("{PROJECT}[build-system]\nrequires=[]\n");
    for (lock, left_out) in [("uv.lock", "--no-install-project"), ("pdm.lock", "--no-self")] {
        let (commands, copies, _) = installed(&[("pyproject.toml", built.as_str()), (lock, "")]);
        assert!(!commands.contains(left_out), "{commands}");
        assert_eq!(copies, [(Origin::Source, ".".to_owned())]);
    }
    let told = format!("{built}[tool.uv]\npackage=false\n");
    assert!(installed(&[("pyproject.toml", told.as_str()), ("uv.lock", "")]).0.contains("--no-install-project"));
    let (commands, ..) = installed(&[("pyproject.toml", POETRY), ("poetry.lock", ""), ("src/my_shop/x.py", "")]);
    assert!(!commands.contains("--no-root"), "{commands}");
    let told = POETRY.replace("name='my-shop'", "package-mode=false");
    let (commands, ..) = installed(&[("pyproject.toml", told.as_str()), ("poetry.lock", ""), ("my_shop/x.py", "")]);
    assert!(commands.contains("--no-root"), "{commands}");
}

#[test]
fn packages_from_folders_are_there_when_they_are_installed() {
    let folders = format!("{PROJECT}[tool.uv.sources]\nlib={{path='lib'}}\n");
    let (_, copies, _) = installed(&[("pyproject.toml", folders.as_str()), ("uv.lock", "")]);
    assert_eq!(copies, [(Origin::Source, ".".to_owned())]);
}

#[test]
fn poetry_is_used_without_a_lock_file_and_says_so() {
    let (commands, _, notes) = installed(&[("pyproject.toml", POETRY)]);
    assert!(commands.contains("poetry install") && notes.contains("There is no poetry.lock"), "{notes}");
}

#[test]
fn requirements_win_and_say_what_they_hide() {
    let (commands, _, notes) = installed(&[("requirements.txt", ""), ("pyproject.toml", PROJECT), ("uv.lock", "")]);
    assert!(commands.contains("-r requirements.txt") && !commands.contains("uv"), "{commands}");
    assert!(notes.contains("uv.lock is ignored") && notes.contains("delete requirements.txt"), "{notes}");
}

#[test]
fn lock_files_that_contradict_or_lack_their_manifest_are_refused() {
    let two = [("pyproject.toml", PROJECT), ("uv.lock", ""), ("poetry.lock", "")];
    assert_eq!(refused_at(&Request::application("demo", two)), "poetry.lock");
    assert_eq!(refused_at(&Request::application("demo", [("main.py", ""), ("uv.lock", "")])), "pyproject.toml");
    let settings = [("pyproject.toml", "[tool.ruff]\n"), ("pdm.lock", "")];
    assert_eq!(refused_at(&Request::application("demo", settings)), "pyproject.toml");
    assert_eq!(refused_at(&Request::application("demo", [("Pipfile", "[packages]\nflask='*'\n")])), "Pipfile");
    assert_eq!(refused_at(&Request::application("demo", [("Pipfile", "[packages")])), "Pipfile");
}

#[test]
fn a_pipfile_asks_for_its_python() {
    let pipfile = "[packages]\nflask='*'\n[requires]\npython_version='3.11'\n";
    let plan = plan(&Request::application("demo", [("Pipfile", pipfile), ("Pipfile.lock", "{}"), ("main.py", "")]));
    assert_eq!(plan.stages[1].base, Base::Image("python:3.11-slim-bookworm".into()));
    assert!(notes(&plan).contains("Pipfile:requires.python_version"));
}

#[test]
fn a_server_is_added_to_the_environment_of_another_tool() {
    let files = [("pyproject.toml", PROJECT), ("uv.lock", ""), ("app.py", "app = Flask(__name__)\n")];
    let plan = plan(&Request::application("demo", files));
    let last = "/opt/tool/bin/python -m pip --no-input --disable-pip-version-check --python /app/.venv/bin/python install \
                gunicorn==27.0.1";
    assert_eq!(commands(&plan.stages[0]).last().map(String::as_str), Some(last));
}

#[test]
fn what_the_image_lacks_is_told() {
    let plan = plan(&Request::application("demo", [("requirements.txt", "psycopg2\n"), ("main.py", "")]));
    assert!(notes(&plan).contains("psycopg2 needs Debian packages"), "{}", notes(&plan));
}

#[test]
fn a_folder_of_requirements_is_used_where_nothing_else_is_there() {
    let production = ("requirements/production.txt", "-r base.txt\n");
    let (commands, copies, notes) = installed(&[production, ("requirements/base.txt", "flask\n"), ("manage.py", "")]);
    assert!(commands.contains("install -r requirements/production.txt"), "{commands}");
    assert_eq!(copies, [(Origin::Source, ".".to_owned())]);
    assert!(notes.contains("Dependencies: requirements/production.txt"), "{notes}");
    let (commands, copies, _) = installed(&[("requirements/base.txt", "flask\n")]);
    assert!(commands.contains("install -r base.txt"), "{commands}");
    assert_eq!(copies, [(Origin::Source, "requirements/base.txt".to_owned())]);
    let (commands, ..) = installed(&[production, ("pyproject.toml", PROJECT), ("uv.lock", "")]);
    assert!(commands.contains("uv sync"), "{commands}");
}
