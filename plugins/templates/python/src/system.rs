//! Dependencies that need more than the slim images have, by the names people know them under.

use crate::project::Project;

/// What a dependency needs of Debian.
struct Need {
    /// The dependency.
    name: &'static str,
    /// Debian packages.
    packages: &'static str,
    /// Whether the full image (`python:3.12-bookworm`) has them.
    in_full_image: bool,
    /// A dependency that needs none of it.
    instead: Option<&'static str>,
}

const fn need(name: &'static str, packages: &'static str, in_full_image: bool, instead: Option<&'static str>) -> Need {
    Need { name, packages, in_full_image, instead }
}

/// Dependencies without wheels for Linux, or whose wheels load libraries of the system.
const NEEDS: [Need; 19] = [
    need("psycopg2", "gcc libpq-dev", true, Some("psycopg2-binary")),
    need("psycopg-c", "gcc libpq-dev", true, Some("psycopg[binary]")),
    need("mysqlclient", "gcc pkg-config default-libmysqlclient-dev", true, Some("pymysql")),
    need("pillow-simd", "gcc libjpeg62-turbo-dev zlib1g-dev", true, Some("pillow")),
    need("uwsgi", "gcc", true, Some("gunicorn")),
    need("python-magic", "libmagic1", true, None),
    need("python-ldap", "gcc libldap2-dev libsasl2-dev", false, Some("ldap3")),
    need("pygraphviz", "gcc pkg-config graphviz libgraphviz-dev", false, None),
    need("pycairo", "gcc pkg-config libcairo2-dev", false, None),
    need("pygobject", "gcc pkg-config libcairo2-dev libgirepository1.0-dev", false, None),
    need("cairosvg", "libcairo2", false, None),
    need("weasyprint", "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0", false, None),
    need("opencv-python", "libgl1 libglib2.0-0", false, Some("opencv-python-headless")),
    need("opencv-contrib-python", "libgl1 libglib2.0-0", false, Some("opencv-contrib-python-headless")),
    need("pyaudio", "gcc portaudio19-dev", false, None),
    need("gdal", "g++ libgdal-dev", false, Some("rasterio or pyogrio")),
    need("pytesseract", "tesseract-ocr", false, None),
    need("pdf2image", "poppler-utils", false, Some("pypdfium2")),
    need("pydub", "ffmpeg", false, None),
];

/// Dependencies with good wheels that need a compiler and headers once pip is told not to use them.
const FROM_SOURCE: [Need; 3] = [
    need("lxml", "gcc libxml2-dev libxslt1-dev", true, None),
    need("pillow", "gcc libjpeg62-turbo-dev zlib1g-dev", true, None),
    need("cryptography", "gcc pkg-config libssl-dev libffi-dev cargo", false, None),
];

/// A note for each dependency that will not install or not run on a slim image.
pub(crate) fn notes(project: &Project, image: &str) -> Vec<String> {
    // Any other image was chosen by somebody who knows what is in it.
    if !image.contains("-slim") {
        return Vec::new();
    }
    let full = image.replace("-slim", "");
    let mut needs: Vec<&Need> = NEEDS.iter().filter(|need| project.depends_on(need.name)).collect();
    let built = |need: &&Need| project.depends_on(need.name) && project.is_built_from_source(need.name);
    needs.extend(FROM_SOURCE.iter().filter(built));
    let mut notes: Vec<String> = needs.into_iter().map(|need| note(need, image, &full)).collect();
    if project.has_extra("psycopg", "c") {
        notes.push(note(&need("psycopg[c]", "gcc libpq-dev", true, Some("psycopg[binary]")), image, &full));
    } else if project.depends_on("psycopg") && !project.has_extra("psycopg", "binary") {
        notes.push(note(&need("psycopg", "libpq5", true, Some("psycopg[binary]")), image, &full));
    }
    if project.uses_git() {
        notes.push(note(&need("a dependency from git", "git", true, None), image, &full));
    }
    notes
}

fn note(need: &Need, image: &str, full: &str) -> String {
    let remedy = if need.in_full_image {
        format!("set baseImage to `{full}`, which has them")
    } else {
        "set baseImage to an image of yours that has them".to_owned()
    };
    let instead = need.instead.map(|instead| format!("depend on {instead}, or ")).unwrap_or_default();
    format!(
        "{} needs Debian packages that `{image}` does not have: {}. If it fails, {instead}{remedy}.",
        need.name, need.packages
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use convergence_plugin_api::template::Request;

    use super::*;

    fn told(requirements: &str) -> String {
        let request = Request::application("demo", [("requirements.txt", requirements)]);
        let project = Project::read(&request.source.unwrap()).unwrap();
        assert!(notes(&project, "example.com/mine:1").is_empty());
        notes(&project, "python:3.12-slim-bookworm").join("\n")
    }

    #[test]
    fn what_wheels_lack_is_told_by_name() {
        let told_of = told("psycopg2==2.9.10\n");
        for words in ["psycopg2 needs", "gcc libpq-dev", "psycopg2-binary", "`python:3.12-bookworm`"] {
            assert!(told_of.contains(words), "{told_of}");
        }
        assert!(told("python_ldap\n").contains("an image of yours"));
        assert!(told("psycopg[c]\n").contains("gcc") && told("psycopg\n").contains("libpq5"));
        assert!(told("x @ git+https://example.com/x\n").contains(": git."));
    }

    #[test]
    fn wheels_that_are_complete_need_nothing() {
        assert_eq!(told("psycopg2-binary\nlxml\npillow\npsycopg[binary]\nopencv-python-headless\n"), "");
        assert!(told("--no-binary=lxml\nlxml\n").contains("libxslt1-dev"));
        assert!(told("--no-binary :all:\npillow\n").contains("libjpeg"));
    }
}
