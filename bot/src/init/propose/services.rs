//! Databases and the like that the tests talk to.

use std::fmt;

use super::super::{
    draft::{Draft, Line},
    survey::Survey,
};

/// A service that runs beside the agent in each sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Postgres,
    Redis,
    MySql,
}

impl Service {
    pub const ALL: [Self; 3] = [Self::Postgres, Self::Redis, Self::MySql];

    /// Images of it, as compose files and workflows name them.
    fn images(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["postgres", "postgis/postgis", "timescale/timescaledb", "pgvector/pgvector"],
            Self::Redis => &["redis", "valkey/valkey"],
            Self::MySql => &["mysql", "mariadb"],
        }
    }

    /// What it listens on.
    pub fn port(self) -> u16 {
        match self {
            Self::Postgres => 5432,
            Self::Redis => 6379,
            Self::MySql => 3306,
        }
    }

    /// Its name in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::MySql => "mysql",
        }
    }

    /// How tests speak of it.
    fn signs(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["postgresql://", "postgres://", "PGHOST", "psycopg2.connect", "psycopg.connect", "asyncpg.connect"],
            Self::Redis => &["redis://", "redis.Redis(", "redis.StrictRedis(", "Redis(host"],
            Self::MySql => &["mysql://", "mysql+pymysql://", "MySQLdb.connect", "pymysql.connect"],
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::Redis => "Redis",
            Self::MySql => "MySQL",
        })
    }
}

/// A line of `[[image.services]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    pub service: Service,
    pub why: String,
    pub start: &'static str,
    pub ready: &'static str,
    pub stop: Option<&'static str>,
}

pub fn find(survey: &Survey, draft: &mut Draft) {
    let names = Names { user: setting(survey, "POSTGRES_USER").unwrap_or("postgres"), database: setting(survey, "POSTGRES_DB") };
    for service in Service::ALL {
        if let Some(place) = evidence(survey, service) {
            add(service, &format!("because of {place}"), &names, draft);
        }
    }
}

/// What the repository's own compose files and workflows call things.
struct Names<'a> {
    user: &'a str,
    database: Option<&'a str>,
}

/// A service that a failed build asked for, under the usual names.
pub fn add_usual(service: Service, why: &str, draft: &mut Draft) {
    add(service, why, &Names { user: "postgres", database: None }, draft);
}

fn add(service: Service, why: &str, names: &Names<'_>, draft: &mut Draft) {
    let why = format!("{service}, {why}.");
    let recipe = match service {
        Service::Postgres => postgres(names, why, draft),
        Service::Redis => {
            draft.packages(&["redis-server"]);
            Recipe {
                service,
                why,
                start: "exec redis-server --bind 127.0.0.1 --port 6379 --save '' --dir /tmp",
                ready: "[ \"$(redis-cli ping)\" = PONG ]",
                stop: None,
            }
        }
        Service::MySql => {
            draft.packages(&["mariadb-server", "mariadb-client"]);
            draft.setup(
                "[ -d ~/mysql ] || mariadb-install-db --no-defaults --auth-root-authentication-method=normal --skip-test-db --datadir=$HOME/mysql >/dev/null",
                "",
            );
            Recipe {
                service,
                why,
                start: "exec /usr/sbin/mariadbd --no-defaults --datadir=$HOME/mysql --socket=/tmp/mysqld.sock --bind-address=127.0.0.1",
                ready: "mariadb-admin --no-defaults --socket=/tmp/mysqld.sock --user=root --silent ping",
                stop: Some("mariadb-admin --no-defaults --socket=/tmp/mysqld.sock --user=root shutdown"),
            }
        }
    };
    draft.services.push(recipe);
}

fn postgres(names: &Names<'_>, why: String, draft: &mut Draft) -> Recipe {
    let user = names.user;
    draft.packages(&["postgresql-common"]);
    draft.root(
        "sed -i 's/^#\\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf",
        "Debian would make a database of its own, for a user that sandboxes do not have.",
    );
    draft.root(
        "apt-get install -y --no-install-recommends postgresql postgresql-contrib && ln -sf /usr/lib/postgresql/*/bin/{initdb,pg_ctl,postgres} /usr/local/bin/",
        "",
    );
    draft.setup(
        format!("[ -d ~/postgres ] || initdb --auth=trust --encoding=UTF8 --username={user} --pgdata=$HOME/postgres >/dev/null"),
        "Any password does: nothing but this sandbox reaches it.",
    );
    if let Some(database) = names.database.filter(|name| *name != user && *name != "postgres") {
        // First of all that is warmed: what follows may want it.
        let line =
            format!("psql -lqtA -h 127.0.0.1 -U {user} postgres | grep -q '^{database}|' || createdb -h 127.0.0.1 -U {user} {database}");
        draft.warm.insert(0, Line { command: line, why: String::new() });
    }
    Recipe {
        service: Service::Postgres,
        why,
        start: "rm -f ~/postgres/postmaster.pid; exec postgres -D ~/postgres -k /tmp -c listen_addresses=127.0.0.1 -c shared_buffers=32MB",
        ready: "pg_isready --quiet --host=127.0.0.1",
        stop: Some("pg_ctl --pgdata=$HOME/postgres --mode=fast stop"),
    }
}

/// `shop` of `POSTGRES_DB: shop`.
fn setting<'a>(survey: &'a Survey, key: &str) -> Option<&'a str> {
    let files = survey.texts().filter(|(path, _)| is_compose(path) || path.starts_with(".github/workflows/"));
    let values = files.flat_map(|(_, text)| text.lines()).filter_map(|line| {
        let rest = line.trim().trim_start_matches("- ").strip_prefix(key)?;
        Some(rest.strip_prefix([':', '='])?.trim().trim_matches(['"', '\'']))
    });
    values.into_iter().find(|value| !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
}

/// Variables that tell tests where a service is, as the repository's workflows set them: `NAME=value` for a command line.
pub fn variables(survey: &Survey, draft: &Draft) -> Vec<String> {
    const PREFIXES: [&str; 8] = ["PG", "POSTGRES", "DATABASE_", "DB_", "TEST_DATABASE", "REDIS", "MYSQL", "SQLALCHEMY_"];
    if draft.services.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<(&str, String)> = Vec::new();
    for (_, text) in survey.texts().filter(|(path, _)| path.starts_with(".github/workflows/")) {
        for line in text.lines() {
            let Some((name, value)) = line.trim().split_once(": ") else { continue };
            let value = value.trim().trim_matches(['"', '\'']);
            let name_is_one = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            // Those of the database's own container, and whatever is no plain text, tell a test nothing.
            let told = name_is_one && PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && !value.contains(['$', '\'', '{', ' ']);
            if told && !value.is_empty() && !is_of_container(name) && !found.iter().any(|(known, _)| *known == name) {
                let here = value
                    .replace("@postgres:", "@127.0.0.1:")
                    .replace("@db:", "@127.0.0.1:")
                    .replace("redis://redis:", "redis://127.0.0.1:");
                let here = if matches!(here.as_str(), "postgres" | "redis" | "db") && name.ends_with("HOST") {
                    "127.0.0.1".to_owned()
                } else {
                    here
                };
                found.push((name, here));
            }
        }
    }
    if found.is_empty()
        && draft.services.iter().any(|recipe| recipe.service == Service::Postgres)
        && survey.texts().any(|(_, text)| text.contains("DATABASE_URL"))
    {
        let (user, database) = (setting(survey, "POSTGRES_USER").unwrap_or("postgres"), setting(survey, "POSTGRES_DB"));
        found.push(("DATABASE_URL", format!("postgresql://{user}@127.0.0.1:5432/{}", database.unwrap_or(user))));
    }
    found.into_iter().map(|(name, value)| format!("{name}='{value}'")).collect()
}

fn is_of_container(name: &str) -> bool {
    matches!(
        name,
        "POSTGRES_USER" | "POSTGRES_DB" | "POSTGRES_PASSWORD" | "POSTGRES_HOST_AUTH_METHOD" | "MYSQL_ROOT_PASSWORD" | "MYSQL_DATABASE"
    )
}

fn is_compose(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("docker-compose") || name.starts_with("compose")
}

/// The file that shows that it is wanted.
fn evidence(survey: &Survey, service: Service) -> Option<&str> {
    let found = survey.texts().find(|(path, text)| {
        if path.starts_with(".github/workflows/") || is_compose(path) {
            return text.lines().any(|line| image_of(line).is_some_and(|image| service.images().contains(&image)));
        }
        path.ends_with(".py") && path.contains("test") && service.signs().iter().any(|sign| text.contains(sign))
    });
    found.map(|(path, _)| path)
}

/// `postgres` of `image: "postgres:16-alpine"`.
fn image_of(line: &str) -> Option<&str> {
    let image = line.trim().trim_start_matches("- ").strip_prefix("image:")?.trim().trim_matches(['"', '\'']);
    Some(
        image
            .strip_prefix("docker.io/")
            .unwrap_or(image)
            .strip_prefix("library/")
            .unwrap_or(image)
            .split([':', '@'])
            .next()
            .unwrap_or(image),
    )
}
