//! What is generally known about programming languages and platforms, and about English as it is written in requests. Nothing here is about any company,
//! product of ours or repository: an entry belongs here only if a stranger to the repositories at hand would have written it.

/// Words that say nothing about what a text is about.
const FUNCTION_WORDS: &str = "a about above after again against all also although always am an and another any anybody anyone anything are aren as at away \
back be because become becomes been before behind being below between both but by came can cannot could couldn did didn do does doesn doing don done down \
during each either else even ever every everyone everything few first for found from further gave get gets getting give given gives go goes going gone got \
had hadn has hasn have haven having he her here hers him his how however http https i if in instead into is isn it its itself just keep keeps kept last least \
less let like likely ll made make makes making many may maybe me might mine more most much must my near need needs neither never next no nobody none nor not \
nothing now of off often on once one only onto or other others our ours out over own per perhaps please quite rather re really s same say says seem seems \
seen several shall she should shouldn since so some somebody someone something soon still such sure t take taken takes than thank thanks that the their \
theirs them then there these they thing things this those though three through thus till to together too toward towards tried try trying two under unless \
until up upon us use used uses using usually ve very via want wanted wants was wasn way we well went were weren what whatever when where whether which while \
who whole whom whose why will with within without won would wouldn www yes yet you your yours";

/// Words of software talk in general: they occur in requests about any repository, so that a match on one says little.
const SOFTWARE_TALK: &str = "add added adding allow app application avoid bug build case change check chore close code come correct crash create current \
default different disable enable ensure error event example exception expect fail failure feat feature field file fix general handle happen implement improve \
introduce issue land latest link local log look main merge message miss move new number old open option perform problem production project pull ref refactor \
refer release remove rename replace report request resolve return revert run sample send server service set setup show side simple small start state step still \
stop support switch system task team test ticket time tool turn type update upgrade user value version wait warn work wrong";

/// Short forms and what they stand for, one to a line.
const SHORT_FORMS: &[(&str, &str)] = &[
    ("admin", "administration"),
    ("auth", "authentication"),
    ("config", "configuration"),
    ("configs", "configuration"),
    ("db", "database"),
    ("dbs", "database"),
    ("dep", "dependency"),
    ("deps", "dependency"),
    ("dir", "directory"),
    ("doc", "document"),
    ("docs", "document"),
    ("documentation", "document"),
    ("env", "environment"),
    ("golang", "go"),
    ("impl", "implement"),
    ("js", "javascript"),
    ("k8s", "kubernetes"),
    ("msg", "message"),
    ("nodejs", "node"),
    ("org", "organization"),
    ("orgs", "organization"),
    ("param", "parameter"),
    ("params", "parameter"),
    ("perf", "performance"),
    ("pkg", "package"),
    ("postgresql", "postgres"),
    ("py", "python"),
    ("repo", "repository"),
    ("ts", "typescript"),
];

/// A language or platform, and the words of its ecosystem: file extensions, package managers, build tools, widely used frameworks.
const ECOSYSTEMS: &[(&str, &str)] = &[
    ("android", "apk aab gradle proguard r8 logcat activity fragment kotlin emulator play"),
    ("browser", "dom javascript chrome firefox safari webview cdn extension"),
    ("c", "gcc clang cmake makefile header linker segfault"),
    ("cli", "command terminal flag argument subcommand shell option"),
    ("cpp", "gcc clang cmake makefile header linker segfault msvc"),
    ("csharp", "cs csproj dotnet nuget asp aspnet msbuild blazor maui xamarin unity"),
    ("dart", "pub pubspec flutter widget"),
    ("docker", "dockerfile container compose image volume"),
    ("document", "tutorial readme guide page typo wording"),
    ("dotnet", "cs csharp csproj nuget aspnet msbuild blazor maui xamarin"),
    ("elixir", "ex exs mix hex phoenix erlang otp beam"),
    ("flutter", "dart pubspec pub widget"),
    ("frontend", "ui css html react vue angular svelte component page button modal layout javascript typescript"),
    ("go", "golang gofmt goroutine gomod gin grpc"),
    ("infrastructure", "terraform ansible helm kubernetes deploy ci"),
    ("ios", "xcode swift objc cocoapods podfile ipa testflight iphone ipad simulator uikit swiftui"),
    ("java", "jar war maven gradle jvm jdk jre spring tomcat jetty junit hibernate servlet logback log4j nullpointerexception classloader"),
    (
        "javascript",
        "js jsx mjs npm npx yarn pnpm node nodejs deno bun webpack vite rollup babel esbuild eslint jest mocha playwright cypress react vue angular svelte next \
         nextjs nuxt express browser dom bundle promise",
    ),
    ("kotlin", "kt kts gradle jvm android ktor coroutine jetpack compose"),
    ("kubernetes", "k8s helm pod kubectl kubelet chart ingress"),
    ("macos", "xcode swift appkit"),
    ("markdown", "md mdx readme"),
    ("mdx", "md markdown"),
    ("mobile", "ios android app phone device"),
    ("mysql", "mariadb sql"),
    ("node", "nodejs npm npx yarn pnpm express commonjs esm"),
    ("objective-c", "objc xcode ios macos cocoapods iphone"),
    ("php", "composer packagist laravel symfony phpunit wordpress"),
    ("postgres", "postgresql psql pg sql"),
    (
        "python",
        "py python3 pip pypi pipenv poetry venv virtualenv conda wheel pyproject setuptools pytest tox mypy ruff django flask fastapi starlette pyramid tornado \
         aiohttp celery sqlalchemy pydantic pandas numpy jupyter asyncio gunicorn uvicorn wsgi asgi gevent traceback gil",
    ),
    ("react", "jsx tsx component hook redux"),
    ("ruby", "rb gem gems gemfile bundler rails rake rspec sidekiq puma rack"),
    ("rust", "rs cargo crate crates rustc clippy rustup tokio serde axum actix tonic borrowck"),
    ("scala", "sbt jvm akka spark"),
    ("shell", "sh bash zsh script install"),
    ("sql", "query table database postgres mysql sqlite"),
    ("swift", "xcode swiftui uikit cocoapods spm ios macos iphone"),
    ("terraform", "tf hcl provider module infrastructure"),
    (
        "typescript",
        "ts tsx tsconfig npm npx yarn pnpm node nodejs deno bun webpack vite rollup esbuild eslint jest playwright cypress react vue angular svelte next nextjs \
         nuxt nestjs",
    ),
];

/// Words that channel names are made of whatever the channel is about.
const CHANNEL_WORDS: &[&str] = &[
    "alerts",
    "ask",
    "bugs",
    "chat",
    "dev",
    "discuss",
    "eng",
    "engineering",
    "feedback",
    "general",
    "help",
    "oncall",
    "proj",
    "project",
    "random",
    "support",
    "team",
    "triage",
];

pub(crate) fn function_words() -> impl Iterator<Item = &'static str> {
    FUNCTION_WORDS.split_whitespace()
}

pub(crate) fn software_talk() -> impl Iterator<Item = &'static str> {
    SOFTWARE_TALK.split_whitespace()
}

/// The long form of a short one; any other word as it is.
pub(crate) fn long_form(word: &str) -> &str {
    match SHORT_FORMS.binary_search_by(|(short, _)| (*short).cmp(word)) {
        Ok(index) => SHORT_FORMS[index].1,
        Err(_) => word,
    }
}

/// The words of a language's or platform's ecosystem; none for any other word.
pub(crate) fn ecosystem(word: &str) -> impl Iterator<Item = &'static str> {
    let index = ECOSYSTEMS.binary_search_by(|(name, _)| (*name).cmp(word)).ok();
    index.map_or("", |index| ECOSYSTEMS[index].1).split_whitespace()
}

pub(crate) fn is_channel_word(word: &str) -> bool {
    CHANNEL_WORDS.binary_search(&word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_for_their_search() {
        assert!(SHORT_FORMS.is_sorted());
        assert!(ECOSYSTEMS.is_sorted());
        assert!(CHANNEL_WORDS.is_sorted());
    }

    #[test]
    fn what_a_language_brings_with_it() {
        assert!(ecosystem("rust").any(|word| word == "cargo"));
        assert_eq!(ecosystem("shop").count(), 0);
        assert_eq!(long_form("k8s"), "kubernetes");
        assert_eq!(long_form("shop"), "shop");
    }
}
