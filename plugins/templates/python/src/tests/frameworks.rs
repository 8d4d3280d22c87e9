//! How applications of each framework are started.

use super::*;

const MANAGE: &str = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')\n";
const STATIC: &str = "STATIC_ROOT = BASE_DIR / 'staticfiles'\n";

fn started(files: &[(&str, &str)]) -> (BuildPlan, String) {
    let plan = plan(&Request::application("demo", files.iter().copied()));
    let command = plan.service.command.join(" ").replace("/app/.venv/bin/python -m ", "");
    (plan, command)
}

fn run_env(plan: &BuildPlan, key: &str) -> Option<String> {
    let found = |step: &Step| match step {
        Step::Env(env) if env.key == key => Some(env.value.clone()),
        _ => None,
    };
    plan.stages.last().unwrap().steps.iter().find_map(found)
}

#[test]
fn fastapi_below_src_is_imported_from_there() {
    let (plan, command) = started(&[("src/main.py", API), ("requirements.txt", "fastapi\nuvicorn\n")]);
    assert_eq!(command, "uvicorn main:api --host 0.0.0.0 --port 3000");
    assert_eq!(run_env(&plan, "PYTHONPATH").as_deref(), Some("/app/src"));
    let factory = "def create_app():\n    return FastAPI()\n";
    let (plan, command) = started(&[("shop/main.py", factory), ("requirements.txt", "fastapi\nuvicorn\n")]);
    assert_eq!(command, "uvicorn shop.main:create_app --host 0.0.0.0 --port 3000 --factory");
    assert_eq!(run_env(&plan, "PYTHONPATH"), None);
}

#[test]
fn flask_runs_in_gunicorn() {
    let app = "from flask import Flask\napp = Flask(__name__)\n";
    let (plan, command) = started(&[("app.py", app), ("requirements.txt", "flask\ngunicorn\n")]);
    assert_eq!(command, "gunicorn app:app --bind 0.0.0.0:3000 --threads 4");
    assert!(!notes(&plan).contains("in addition"));
    let (plan, command) = started(&[
        ("shop/__init__.py", "def create_app(config=None):\n    return Flask(__name__)\n"),
        ("requirements.txt", "Flask==3.1.0\n"),
    ]);
    assert_eq!(command, "gunicorn shop:create_app() --bind 0.0.0.0:3000 --threads 4");
    assert!(commands(&plan.stages[0]).contains(&format!("{PIP} gunicorn==27.0.1")));
    assert!(notes(&plan).contains("`gunicorn==27.0.1` is installed in addition"));
}

#[test]
fn django_is_served_with_its_static_files() {
    let requirements = "django\ngunicorn\n";
    let files = [
        ("manage.py", MANAGE),
        ("mysite/settings.py", STATIC),
        ("mysite/wsgi.py", ""),
        ("requirements.txt", requirements),
    ];
    let mut request = Request::application("demo", files);
    request.env_names = vec!["APP_SECRET_KEY".to_owned(), "DATABASE_URL".to_owned()];
    let plan = plan(&request);
    assert_eq!(
        plan.service.command.join(" "),
        "/app/.venv/bin/python -m gunicorn mysite.wsgi:application --bind 0.0.0.0:3000 --threads 4"
    );
    assert_eq!(plan.stages[1].base, Base::Stage("dependencies".into()));
    let dummy = "only-while-the-image-is-built";
    assert_eq!(
        commands(&plan.stages[1]),
        [format!(
            "env APP_SECRET_KEY={dummy} DJANGO_SECRET_KEY={dummy} SECRET_KEY={dummy} /app/.venv/bin/python manage.py \
             collectstatic --noinput"
        )]
    );
    assert_eq!(copies(&plan.stages[2]), [(Origin::Stage("static".into()), "/app".to_owned())]);
    assert!(notes(&plan).contains("mysite/settings.py sets STATIC_ROOT"));
    assert!(notes(&plan).contains("Migrations are not run") && notes(&plan).contains("whitenoise"));
    assert_eq!(plan.service.release_command, None, "the host refuses release commands");

    request.build_args = vec![Attribute::new("DISABLE_COLLECTSTATIC", "1")];
    let without = super::plan(&request);
    assert_eq!(without.stages.len(), 2);
    assert!(notes(&without).contains("DISABLE_COLLECTSTATIC says so"));
}

#[test]
fn static_files_are_collected_with_the_settings_that_are_served() {
    let serve = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'config.settings.production')\n";
    let files = [
        ("manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'config.settings.local')\n"),
        ("config/settings/base.py", STATIC),
        ("config/settings/local.py", ""),
        ("config/wsgi.py", serve),
        ("requirements/base.txt", "django\ngunicorn\n"),
    ];
    let (plan, command) = started(&files);
    assert_eq!(command, "gunicorn config.wsgi:application --bind 0.0.0.0:3000 --threads 4");
    assert!(commands(&plan.stages[1])[0].contains(" DJANGO_SETTINGS_MODULE=config.settings.production "));
}

#[test]
fn django_without_static_root_and_with_channels() {
    let files = [
        ("site/manage.py", MANAGE),
        ("site/mysite/settings.py", "DEBUG = False\n"),
        ("site/mysite/wsgi.py", ""),
        ("site/mysite/asgi.py", ""),
        ("requirements.txt", "django\nchannels\ndaphne\n"),
    ];
    let (plan, command) = started(&files);
    assert_eq!(command, "daphne -b 0.0.0.0 -p 3000 mysite.asgi:application");
    assert_eq!(run_env(&plan, "PYTHONPATH").as_deref(), Some("/app/site"));
    assert_eq!(plan.stages.len(), 2);
    assert!(notes(&plan).contains("set no STATIC_ROOT"));
}

#[test]
fn streamlit_is_headless_and_has_a_health_path() {
    let page = "import streamlit as st\n";
    let files = [("main.py", ""), ("app.py", page), ("requirements.txt", "streamlit\n")];
    let (plan, command) = started(&files);
    assert_eq!(
        command,
        "streamlit run app.py --server.headless=true --server.address=0.0.0.0 --server.port=3000 \
         --server.fileWatcherType=none --browser.gatherUsageStats=false"
    );
    assert_eq!(plan.service.health.probe, Probe::Http("/_stcore/health".into()));
}

#[test]
fn a_script_runs_and_is_told_what_it_must_do() {
    let (plan, command) = started(&[("server.py", "import flask\n"), ("requirements.txt", "flask\n")]);
    assert_eq!(command, "/app/.venv/bin/python server.py");
    assert!(notes(&plan).contains("no flask application was found") && notes(&plan).contains("`PORT`"));
    let (_, command) = started(&[("bot/__main__.py", ""), ("requirements.txt", "")]);
    assert_eq!(command, "bot");
}

#[test]
fn a_process_wins_over_a_framework_and_a_release_is_not_silent() {
    let files = [("manage.py", MANAGE), ("mysite/settings.py", STATIC), ("requirements.txt", "django\n")];
    let mut request = Request::application("demo", files);
    request.processes = vec![Attribute::new("release", "x"), Attribute::new("web", "uvicorn a:b --port $PORT")];
    let plan = plan(&request);
    assert_eq!(plan.service.command, ["uvicorn", "a:b", "--port", "3000"]);
    assert_eq!(plan.stages.len(), 3, "static files are collected all the same");
    assert!(notes(&plan).contains("The process `release` is not run"));
    assert!(notes(&plan).contains("`uvicorn==0.54.0` is installed in addition"));
}

#[test]
fn the_framework_asked_for_wins_among_those_there() {
    let files = [
        ("main.py", API),
        ("app.py", "app = Flask('x')\n"),
        ("requirements.txt", "fastapi\nuvicorn\nflask\ngunicorn\n"),
    ];
    let mut request = Request::application("demo", files);
    assert!(plan(&request).service.command.contains(&"main:api".to_owned()));
    request.framework = Some("flask".into());
    assert!(plan(&request).service.command.contains(&"app:app".to_owned()));
    let mut starter = Request::starter("demo");
    starter.framework = Some("flask".into());
    assert_eq!(refused_at(&starter), "framework");
}

#[test]
fn an_application_in_the_only_folder_is_found() {
    let files = [
        ("README.md", ""),
        ("backend/main.py", API),
        ("backend/pyproject.toml", "[project]\nname='x'\ndependencies=['fastapi','uvicorn']\n"),
        ("backend/uv.lock", ""),
        ("backend/.python-version", "3.13\n"),
        ("frontend/package.json", "{}"),
    ];
    let (plan, command) = started(&files);
    assert_eq!(command, "uvicorn main:api --host 0.0.0.0 --port 3000");
    assert_eq!(copies(&plan.stages[0]), [(Origin::Source, "backend/pyproject.toml backend/uv.lock".to_owned())]);
    assert_eq!(copies(&plan.stages[1])[0], (Origin::Source, "backend".to_owned()));
    assert_eq!(plan.stages[1].base, Base::Image("python:3.13-slim-bookworm".into()));
    assert!(notes(&plan).contains("in the folder `backend`"));
    let found = Python::detect(&Request::application("demo", files), &NoConfig {}).unwrap().unwrap();
    assert_eq!((found.confidence, found.framework.as_deref()), (50, Some("fastapi")));

    let broken = Request::application("demo", [("backend/pyproject.toml", "[project")]);
    assert_eq!(refused_at(&broken), "backend/pyproject.toml");
    let silent = Request::application("demo", [("backend/requirements.txt", "x\n")]);
    assert_eq!(refused_at(&silent), "processes.web");
    let two = Request::application("demo", [("a/requirements.txt", ""), ("b/requirements.txt", "")]);
    assert_eq!(refused_at(&two), "source");
    let detect = |request: &Request| Python::detect(request, &NoConfig {}).unwrap().unwrap().confidence;
    assert_eq!((detect(&broken), detect(&two)), (50, 20), "another language's source may have such folders");
}

/// A file that is not wanted is never handed over, and a plan would change without anybody noticing.
#[test]
fn what_is_read_is_wanted() {
    let wants = Python::wants();
    for pattern in [
        "/*requirements*.txt",
        "/requirements/*.txt",
        "/*/*/pyproject.toml",
        "/main.py",
        "/*/*/*/main.py",
        "/*/settings.py",
        "/*/settings/*.py",
        "/*/*/*/settings.py",
        "/*/manage.py",
        "/streamlit_app.py",
        "/*/__init__.py",
    ] {
        assert!(wants.contains(&pattern.to_owned()), "{pattern}: {wants:?}");
    }
}
