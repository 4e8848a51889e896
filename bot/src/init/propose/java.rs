//! Java: Maven or Gradle, which must be told of the proxy in words of their own.

use super::super::{
    draft::Draft,
    survey::{Project, Survey},
};

/// The JVM reads neither the proxy's variables nor, by default, sends a password through a tunnel.
const PROXY: &str = "proxy=${https_proxy#http://}; login=${proxy%@*}; place=${proxy##*@}; \
     export JAVA_TOOL_OPTIONS=\"-Dhttps.proxyHost=${place%:*} -Dhttps.proxyPort=${place#*:} -Dhttps.proxyUser=${login%%:*} \
     -Dhttps.proxyPassword=${login#*:} -Djdk.http.auth.tunneling.disabledSchemes=\"";

pub fn propose(survey: &Survey, draft: &mut Draft) {
    for folder in survey.projects(&["pom.xml", "build.gradle", "build.gradle.kts"]) {
        project(survey.project(folder), draft);
    }
}

fn project(at: Project<'_>, draft: &mut Draft) {
    draft.packages(&["default-jdk-headless"]);
    draft.note("Java's tools are told of the proxy by `JAVA_TOOL_OPTIONS`, in `image.setup` only: what a session shall fetch later must be fetched there.");
    if at.has("pom.xml") {
        draft.egress(&["repo.maven.apache.org:443", "repo1.maven.org:443"], "Java packages");
        let maven = if at.has("mvnw") { "./mvnw" } else { "mvn" };
        if !at.has("mvnw") {
            draft.packages(&["maven"]);
        }
        draft.setup(at.command(format!("{PROXY} && {maven} -q -B -DskipTests install")), "Fetches and compiles everything.");
        draft.check(at.command(format!("{maven} -q -B -o test")), "");
    } else {
        draft.egress(&["repo.maven.apache.org:443", "repo1.maven.org:443", "plugins.gradle.org:443"], "Java packages");
        let gradle = if at.has("gradlew") {
            draft.egress(&["services.gradle.org:443", "github.com:443", "release-assets.githubusercontent.com:443"], "Gradle itself");
            "./gradlew"
        } else {
            draft.packages(&["gradle"]);
            "gradle"
        };
        draft.setup(at.command(format!("{PROXY} && {gradle} --no-daemon -q testClasses")), "Fetches and compiles everything.");
        draft.check(at.command(format!("{gradle} --no-daemon --offline -q test")), "");
    }
    draft.memory_mb = draft.memory_mb.max(Some(3072));
}
