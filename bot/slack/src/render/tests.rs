//! Each message as a person sees it, and within Slack's limits.

use std::time::Duration;

use insta::assert_snapshot;
use longshore_session::{PersonDefaults, RepoName, SessionId, SlackUserId};
use proptest::prelude::*;
use serde_json::Value;

use super::{
    examples::{ana, prompt, replies::done, repo, session},
    limits::{assert_publishable, assert_sendable},
    *,
};
use crate::StatusScope;

/// One line per block, with what each button means; the accessible text first.
pub(super) fn show(message: &Message) -> String {
    assert_sendable(message);
    let mut lines = vec![format!("text: {}", message.text)];
    for block in &message.blocks {
        let id = block["block_id"].as_str().unwrap_or("-");
        let kind = block["type"].as_str().unwrap_or_default();
        let words = match kind {
            "markdown" => block["text"].as_str().unwrap_or_default().to_owned(),
            "context" => block["elements"][0]["text"].as_str().unwrap_or_default().to_owned(),
            "actions" => block["elements"].as_array().unwrap().iter().map(element).collect::<Vec<_>>().join(" "),
            _ => block["text"]["text"].as_str().unwrap_or_default().to_owned(),
        };
        let accessory = block.get("accessory").map(|item| format!("  {}", element(item))).unwrap_or_default();
        lines.push(format!("{kind} {id}: {}{accessory}", words.replace('\n', "\n    ")));
    }
    // Nobody sees blanks at a line's end, or a blank of no width.
    lines.join("\n").replace('\u{200b}', "{zwsp}").lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn element(item: &Value) -> String {
    let id = item["action_id"].as_str().unwrap();
    let option = |option: &Value| format!("{}={}", option["text"]["text"].as_str().unwrap(), option["value"].as_str().unwrap());
    match item["type"].as_str().unwrap() {
        "button" => {
            let target = item["value"].as_str().or(item["url"].as_str()).unwrap();
            let style = item["style"].as_str().map(|style| format!(" {style}")).unwrap_or_default();
            let confirm = item.get("confirm").map(|_| " asks first").unwrap_or_default();
            format!("[{} | {id} = {target}{style}{confirm}]", item["text"]["text"].as_str().unwrap())
        }
        _ => {
            let groups = item["option_groups"].as_array().into_iter().flatten();
            let lists = groups.map(|group| &group["options"]).chain(item.get("options"));
            let options: Vec<String> = lists.flat_map(|list| list.as_array().unwrap()).map(option).collect();
            format!("[{} | {id}: {}]", item["placeholder"]["text"].as_str().unwrap(), options.join(", "))
        }
    }
}

fn card(phase: CardPhase) -> TurnCard {
    TurnCard {
        session: session(),
        repo: Some(repo("acme/shop")),
        branch: Some("longshore/s-7k2m9q4dxw".to_owned()),
        why: Some("the message speaks of the checkout, decided by the model (0.92)".to_owned()),
        asker: ana(),
        phase,
        plan: vec![
            PlanItem { text: "Find where the payment is sent".to_owned(), status: PlanStatus::Done },
            PlanItem { text: "Send it once per order".to_owned(), status: PlanStatus::Doing },
            PlanItem { text: "Run the tests".to_owned(), status: PlanStatus::Pending },
        ],
        step: Some("reading `src/checkout.py`".to_owned()),
        hindrance: None,
        elapsed: Duration::from_secs(80),
        spent: Spent { micros: 420_000, unpriced_tokens: 0 },
        session_url: Some("https://longshore.example.com/s/s-7k2m9q4dxw".to_owned()),
        rerouting: Rerouting::Offered,
    }
}

#[test]
fn a_card_at_work() {
    assert_snapshot!(show(&card(CardPhase::Working).render()), @r#"
    text: Working in acme/shop: reading `src/checkout.py`. 1 of 3 steps done. 1 min 20 s, $0.42.
    header card.head: 🛠️ Working · acme/shop
    section card.place: *acme/shop* on `longshore/s-7k2m9q4dxw`
        Why here: the message speaks of the checkout, decided by the model (0.92)
    section card.plan: ✅ Find where the payment is sent
        ▶️ *Send it once per order*
        ⬜ Run the tests
    section card.step: *Now:* reading `src/checkout.py`
    context card.foot: Asked by <@U0ANA> · 1 min 20 s · $0.42 · session `s-7k2m9q4dxw`
    actions card.actions: [Stop | stop = s-7k2m9q4dxw danger] [Open session | link:session = https://longshore.example.com/s/s-7k2m9q4dxw] [Wrong repository | wrong_repository = s-7k2m9q4dxw]
    "#);
}

#[test]
fn a_card_before_there_is_a_repository() {
    let card =
        TurnCard { repo: None, branch: None, why: None, plan: Vec::new(), step: None, session_url: None, ..card(CardPhase::Choosing) };
    assert_snapshot!(show(&card.render()), @r#"
    text: Choosing the repository. 1 min 20 s, $0.42.
    header card.head: 🧭 Choosing the repository
    context card.foot: Asked by <@U0ANA> · 1 min 20 s · $0.42 · session `s-7k2m9q4dxw`
    actions card.actions: [Stop | stop = s-7k2m9q4dxw danger]
    "#);
}

#[test]
fn each_phase_looks_different() {
    let phases = [
        CardPhase::Queued { place: 2 },
        CardPhase::Choosing,
        CardPhase::Preparing,
        CardPhase::Working,
        CardPhase::Finishing,
        CardPhase::Checking,
        CardPhase::Waiting,
        CardPhase::Stopping,
        CardPhase::Done,
        CardPhase::DoneButFailing,
        CardPhase::Stopped,
        CardPhase::Failed,
    ];
    let heads: Vec<String> = phases
        .into_iter()
        .map(|phase| {
            let message = card(phase).render();
            let stop = if show(&message).contains("[Stop |") { " [Stop]" } else { "" };
            format!("{}{stop}", message.blocks[0]["text"]["text"].as_str().unwrap())
        })
        .collect();
    assert_snapshot!(heads.join("\n"), @r#"
    🕒 Waiting for a sandbox (place 2) · acme/shop [Stop]
    🧭 Choosing the repository · acme/shop [Stop]
    📦 Starting the sandbox · acme/shop [Stop]
    🛠️ Working · acme/shop [Stop]
    📤 Saving the work · acme/shop [Stop]
    🧪 Running the check · acme/shop [Stop]
    🙋 Waiting for an answer · acme/shop [Stop]
    ✋ Stopping · acme/shop
    ✅ Done · acme/shop
    ⚠️ Done, but the check fails · acme/shop
    ⏹️ Stopped · acme/shop
    ❌ Failed · acme/shop
    "#);
}

#[test]
fn a_cards_block_ids_stay() {
    let ids =
        |phase| -> Vec<String> { card(phase).render().blocks.iter().map(|block| block["block_id"].as_str().unwrap().to_owned()).collect() };
    assert_eq!(ids(CardPhase::Working), ids(CardPhase::Finishing));
    assert!(ids(CardPhase::Done).iter().all(|id| ids(CardPhase::Working).contains(id)));
}

fn one(reply: &FinalReply) -> String {
    let messages = reply.render();
    assert_eq!(messages.len(), 1);
    show(&messages[0])
}

#[test]
fn done_with_a_pull_request() {
    let pull_request = PullRequestLink {
        url: "https://github.com/acme/shop/pull/12".to_owned(),
        number: 12,
        title: "Charge once <per> order | retry".to_owned(),
        standing: PullRequestStanding::Open,
        covers: Covers::All,
        follows: None,
    };
    let reply = FinalReply {
        pull_request: Some(pull_request),
        note: Some("Answered by a scripted model.".to_owned()),
        ..done("The payment was sent **again** on retry.\n\n- `charge()` now takes the order's key\n- all 12 tests pass <!here>")
    };
    assert_snapshot!(one(&reply), @r#"
    text: Done in acme/storefront: The payment was sent again on retry. charge() now takes the order's key all 12 tests pass &lt;!here&gt; Pull request #12: <https://github.com/acme/shop/pull/12|Charge once &lt;per&gt; order / retry>
    section reply.head: ✅ *Done*, <@U0ANA>.
    markdown -: The payment was sent **again** on retry.

        - `charge()` now takes the order's key
        - all 12 tests pass <{zwsp}!here>
    section reply.pull_request: 🔀 Pull request <https://github.com/acme/shop/pull/12|#12 Charge once &lt;per&gt; order / retry> · open
    context reply.foot: 2 files changed, 14 lines added, 1 line removed
        classified 0.31 s · sandbox 0.04 s · sync 0.90 s · first token 2.1 s
        Models: $0.13
        Answered by a scripted model.
        session `s-7k2m9q4dxw`
    actions reply.actions: [Open pull request | link:pull_request = https://github.com/acme/shop/pull/12] [Open session | link:session = https://longshore.example.com/sessions/s-7k2m9q4dxw?key=k]
    "#);
}

#[test]
fn what_people_and_agents_write_is_shown_as_they_wrote_it() {
    let messages = [
        UnknownRepository { named: Some("acme/`nothing`".to_owned()) }.render(),
        Notice::Update { words: "Half of the <tests> pass.".to_owned() }.render(),
    ];
    assert_eq!(
        messages.map(|message| message.text),
        [
            "🤷 I know no repository `acme/'nothing'` that you can use. `/agent repos` shows those I work in.",
            "💡 Half of the &lt;tests&gt; pass."
        ]
    );
}

#[test]
fn a_long_summary_goes_on_in_further_messages() {
    let code = "fn main() { println!(\"a line of code\"); }\n".repeat(500);
    let messages = done(&format!("# What was done\n\n```rust\n{code}```\n\nThe end.")).render();
    assert!(messages.len() > 1, "{}", messages.len());
    messages.iter().for_each(assert_sendable);
    for message in &messages {
        let markdown: Vec<&str> =
            message.blocks.iter().filter(|block| block["type"] == "markdown").map(|block| block["text"].as_str().unwrap()).collect();
        assert_eq!(markdown.join("").matches("```").count() % 2, 0);
    }
    assert!(show(&messages[0]).contains("Create pull request"));
    assert!(messages.last().unwrap().blocks[0]["text"].as_str().unwrap().ends_with("The end."));
    let endless = done(&"word ".repeat(40_000)).render();
    assert_eq!(endless.len(), 5);
    assert!(endless[4].blocks[0]["text"].as_str().unwrap().contains("in the file below"));
}

#[test]
fn the_picker_puts_the_likeliest_first() {
    let picker = RepositoryPicker {
        prompt: prompt(),
        asker: ana(),
        asked: "the totals are <wrong> & late".to_owned(),
        candidates: vec![
            Candidate { repo: repo("acme/shop"), reason: "it computes totals".to_owned() },
            Candidate { repo: repo("acme/billing"), reason: "the channel is mostly about it".to_owned() },
        ],
        others: vec![repo("acme/web"), repo("acme/shop"), repo("acme/app")],
    };
    assert_snapshot!(show(&picker.render()), @r#"
    text: Which repository is this about? I am not sure enough to start. Most likely: acme/shop, acme/billing.
    section picker.head: 🧭 <@U0ANA>, which repository is this about? I am not sure enough to start.
        > the totals are &lt;wrong&gt; &amp; late
    section picker.candidate.0: *acme/shop*
        it computes totals  [This one | pick_repository:0:p-4h8x2m9q7kdw = acme/shop primary]
    section picker.candidate.1: *acme/billing*
        the channel is mostly about it  [This one | pick_repository:1:p-4h8x2m9q7kdw = acme/billing]
    actions picker.actions: [Another repository… | pick_repository:select:p-4h8x2m9q7kdw: acme/app=acme/app, acme/web=acme/web] [Never mind | withdraw = p-4h8x2m9q7kdw]
    "#);
    let alone = RepositoryPicker { candidates: Vec::new(), others: Vec::new(), ..picker };
    assert_snapshot!(show(&alone.render()), @r#"
    text: I cannot tell which repository this is about. Please pick one.
    section picker.head: 🧭 <@U0ANA>, I cannot tell which repository this is about. Please pick one.
        > the totals are &lt;wrong&gt; &amp; late
    actions picker.actions: [Never mind | withdraw = p-4h8x2m9q7kdw]
    "#);
}

#[test]
fn a_picker_of_very_many_repositories_is_grouped() {
    let others: Vec<RepoName> = (0..350).map(|n| repo(&format!("a-rather-long-organisation-name/{}-{n:03}", "x".repeat(80)))).collect();
    let message = RepositoryPicker { prompt: prompt(), asker: ana(), asked: "?".to_owned(), candidates: Vec::new(), others }.render();
    assert_sendable(&message);
    let groups = message.blocks[1]["elements"][0]["option_groups"].as_array().unwrap();
    assert_eq!(groups.iter().map(|group| group["options"].as_array().unwrap().len()).sum::<usize>(), 350);
}

fn wrong() -> WrongRepository {
    WrongRepository {
        session: session(),
        repo: repo("acme/shop"),
        by: ana(),
        asked: "the totals are <wrong> & late".to_owned(),
        candidates: vec![
            Candidate { repo: repo("acme/shop"), reason: "it computes totals".to_owned() },
            Candidate { repo: repo("acme/billing"), reason: "mentions totals".to_owned() },
        ],
        others: vec![repo("acme/web"), repo("acme/shop"), repo("acme/app"), repo("acme/billing")],
    }
}

#[test]
fn where_a_prompt_belongs_is_asked_in_a_modal() {
    let modal = wrong().modal();
    let text = |pointer: &str| modal.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer}")).to_owned();
    assert_eq!(
        (text("/type"), text("/callback_id"), text("/private_metadata")),
        ("modal".into(), "wrong_repository".into(), session().to_string())
    );
    for (pointer, limit) in [("/title/text", 24), ("/submit/text", 24), ("/close/text", 24)] {
        assert!(text(pointer).chars().count() <= limit, "{pointer}");
    }
    let shown = |group: &Value| {
        let options = group["options"].as_array().unwrap().iter();
        let options: Vec<String> = options
            .map(|option| format!("{} ({})", option["value"].as_str().unwrap(), option["description"]["text"].as_str().unwrap_or("-")))
            .collect();
        format!("{}: {}", group["label"]["text"].as_str().unwrap(), options.join(", "))
    };
    let groups = modal.pointer("/blocks/1/element/option_groups").and_then(Value::as_array).unwrap();
    let all = [vec![text("/blocks/0/text/text"), text("/blocks/1/hint/text")], groups.iter().map(shown).collect()].concat();
    assert_snapshot!(all.join("\n"), @r#"
    This is in *acme/shop* now. Where does it belong?
    > the totals are &lt;wrong&gt; &amp; late
    What runs here ends, what I pushed here is taken back, and the work begins anew there.
    Most likely: acme/billing (mentions totals)
    All others: acme/app (-), acme/web (-)
    "#);
}

#[test]
fn a_modal_takes_very_many_repositories() {
    let others: Vec<RepoName> = (0..350).map(|n| repo(&format!("a-rather-long-organisation-name/{}-{n:03}", "x".repeat(80)))).collect();
    let modal = WrongRepository { others: others.clone(), ..wrong() }.modal();
    let groups = modal.pointer("/blocks/1/element/option_groups").and_then(Value::as_array).unwrap();
    assert!(groups.len() <= 100);
    for group in groups {
        assert!((1..=100).contains(&group["options"].as_array().unwrap().len()));
        assert!(group["label"]["text"].as_str().unwrap().chars().count() <= 75);
    }
    assert_eq!(groups.iter().map(|group| group["options"].as_array().unwrap().len()).sum::<usize>(), 351);
    assert_sendable(&WrongRepository { others, ..wrong() }.message());
}

#[test]
fn where_a_prompt_belongs_is_asked_in_the_thread_where_a_modal_comes_too_late() {
    assert_snapshot!(show(&wrong().message()), @r#"
    text: This is in acme/shop now. Where does it belong? Most likely: acme/billing.
    section wrong.head: 🧭 <@U0ANA>, this is in *acme/shop* now. Where does it belong?
        > the totals are &lt;wrong&gt; &amp; late
    section wrong.candidate.0: *acme/billing*
        mentions totals  [Move it there | move_to:0:s-7k2m9q4dxw = acme/billing]
    actions wrong.actions: [Another repository… | move_to:select:s-7k2m9q4dxw: acme/app=acme/app, acme/web=acme/web]
    "#);
}

fn line(name: &str, phase: CardPhase) -> SessionLine {
    SessionLine {
        session: Some(SessionId::parse(name).unwrap()),
        repo: Some(repo("acme/shop")),
        title: "the checkout page <b>double-charges</b>".to_owned(),
        asker: ana(),
        stage: SessionStage::Live(phase),
        since: Duration::from_secs(75),
        age: Duration::from_secs(4_000),
        spent: Spent::default(),
        pull_request: None,
        thread_url: Some("https://acme.slack.com/archives/C1/p12".to_owned()),
        stoppable: true,
    }
}

fn idle_line(name: &str) -> SessionLine {
    let url = "https://github.com/acme/shop/pull/7".to_owned();
    let pull_request = Some(PullRequestLine { number: 7, url, standing: PullRequestStanding::Open });
    SessionLine { stage: SessionStage::Idle { rest: Rest::Awake }, pull_request, stoppable: false, ..line(name, CardPhase::Working) }
}

fn asking_line() -> SessionLine {
    let stage = SessionStage::Asking { question: "Which currency counts?".to_owned() };
    SessionLine { session: None, repo: None, stage, stoppable: false, ..line("s-4", CardPhase::Working) }
}

#[test]
fn agent_status_of_a_busy_day_fits() {
    let many = |prefix: &str| (0..60).map(|n| line(&format!("{prefix}-{n}"), CardPhase::Working)).collect::<Vec<_>>();
    let image = |n| ImageLine {
        repo: repo(&format!("acme/{}-{n}", "r".repeat(90))),
        state: ImageState::Missing,
        last_failure: None,
        pool: PoolLine::default(),
        taken_back: None,
    };
    let status = AgentStatus {
        running: many("a"),
        asking: vec![asking_line(); 60],
        queued: many("b"),
        idle: vec![idle_line("s-5"); 60],
        elsewhere: 60,
        images: (0..60).map(image).collect(),
        scope: StatusScope::Mine,
    };
    let shown = show(&status.render());
    for more in ["… and 46 more", "… and 53 more", "55 more: `/agent repos`"] {
        assert!(shown.contains(more), "no `{more}`: {shown}");
    }
}

#[test]
fn a_home_page_of_a_busy_life_fits() {
    let many = |prefix: &str| (0..60).map(|n| line(&format!("{prefix}-{n}"), CardPhase::Working)).collect::<Vec<_>>();
    let mut page = HomePage {
        running: many("a"),
        asking: vec![asking_line(); 60],
        queued: many("b"),
        idle: vec![idle_line("s-5"); 60],
        defaults: PersonDefaults { repository: Some(repo("acme/gone")), model: Some("gone".to_owned()), ..PersonDefaults::default() },
        models: (0..30).map(|n| format!("{}-{n}", "m".repeat(60))).collect(),
        repositories: (0..250).map(|n| repo(&format!("acme/{}-{n}", "r".repeat(90)))).collect(),
        web_url: Some("https://longshore.example.com".to_owned()),
    };
    assert_publishable(&page.render());
    let chosen = |page: &HomePage| {
        let view = page.render();
        let block = view["blocks"].as_array().unwrap().iter().find(|block| block["block_id"] == "home.repository").unwrap();
        block["accessory"]["initial_option"]["value"].as_str().unwrap().to_owned()
    };
    assert_eq!(chosen(&page), "-", "a repository that is there no longer is nobody's default");
    page.defaults.repository = page.repositories.last().cloned();
    assert_publishable(&page.render());
    assert_eq!(chosen(&page), page.repositories.last().unwrap().to_string());
}

#[test]
fn agent_repos() {
    let image = |name: &str, state| ImageLine { repo: repo(name), state, last_failure: None, taken_back: None, pool: PoolLine::default() };
    let commit = "0123456789abcdef0123456789abcdef01234567".to_owned();
    let repositories = vec![
        ImageLine {
            pool: PoolLine { waiting: 1, being_made: 1 },
            ..image("acme/shop", ImageState::Ready { commit: commit.clone(), age: Duration::from_secs(1_500) })
        },
        ImageLine {
            pool: PoolLine { waiting: 2, being_made: 0 },
            last_failure: Some(("`npm ci` ended with status 1".to_owned(), Duration::from_secs(600))),
            ..image("acme/web", ImageState::Building { since: Duration::from_secs(30), earlier: Some(commit) })
        },
        image("acme/app", ImageState::Building { since: Duration::from_secs(30), earlier: None }),
        image("acme/new", ImageState::Missing),
    ];
    assert_snapshot!(show(&AgentRepos { repositories, disk: None }.render()), @r#"
    text: 4 repositories. acme/shop ready at `0123456789`, 25 min old; 1 warm sandbox waits, 1 more being made. acme/web is being rebuilt (for 30 s); sessions start from `0123456789`; 2 warm sandboxes wait. acme/app is being built for the first time (for 30 s). acme/new has no image yet.
    header repos.head: 4 repositories
    section repos.0: 🟢 *acme/shop* ready at `0123456789`, 25 min old; 1 warm sandbox waits, 1 more being made
        🟡 *acme/web* is being rebuilt (for 30 s); sessions start from `0123456789`; 2 warm sandboxes wait
              ⚠️ last build failed 10 min ago: `npm ci` ended with status 1
        🟡 *acme/app* is being built for the first time (for 30 s)
        ⚪ *acme/new* has no image yet
    "#);
    let hundreds = (0..390).map(|n| image(&format!("acme/{}-{n}", "r".repeat(60)), ImageState::Missing)).collect();
    assert_sendable(&AgentRepos { repositories: hundreds, disk: None }.render());
    assert_sendable(&AgentRepos { repositories: Vec::new(), disk: None }.render());
}

#[test]
fn agent_help_and_wrong_words() {
    assert_snapshot!(show(&AgentHelp { bot: SlackUserId::parse("U0BOT").unwrap() }.render()), @r"
    text: Mention me (<@U0BOT>) in a channel and say what is wrong or what you want. I find the repository, work in a sandbox of my own, show here what I do, and open a pull request. Reply in the thread to go on. Commands: /agent status, /agent repos, /agent stop, /agent link, /agent help.
    section help.words: Mention me (<@U0BOT>) in a channel and say what is wrong or what you want. I find the repository, work in a sandbox of my own, show here what I do, and open a pull request. Reply in the thread to go on.
    section help.commands: `/agent status` your sessions; `/agent status channel` those of this channel, `/agent status all` everybody's
        `/agent repos` the repositories I work in, and how fresh their images are
        `/agent stop` stop a session of yours; `/agent stop s-…` stop that one
        `/agent link` in whose name your pull requests are opened
        `/agent help` this
    ");
    let crate::AgentCommand::Unknown { word, hint } = crate::AgentCommand::parse("stauts") else { panic!("it is known") };
    assert_snapshot!(show(&AgentUnknown { word, hint }.render()), @r#"
    text: I don't know `stauts`. Did you mean `/agent status`?
    section words: I don't know `stauts`. Did you mean `/agent status`?
    "#);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever an agent, a model or a person writes, Slack takes the message, and nobody is called who was not meant.
    #[test]
    fn foreign_words_never_break_a_message(words in "\\PC{0,400}", marks in "[<>&|`*_~@!#\\n ]{0,200}", times in 1_usize..60) {
        let words = format!("{words}{marks}<!channel> ").repeat(times);
        let card = TurnCard {
            why: Some(words.clone()),
            branch: Some(words.clone()),
            step: Some(words.clone()),
            plan: (0..20).map(|_| PlanItem { text: words.clone(), status: PlanStatus::Doing }).collect(),
            ..card(CardPhase::Working)
        };
        let mut messages = vec![card.render()];
        messages.extend(FinalReply { note: Some(words.clone()), ..done(&words) }.render());
        let outcome = Outcome::Failed { what: words.clone(), next: words.clone(), reference: words.clone() };
        messages.extend(FinalReply { outcome, ..done("") }.render());
        let candidates = vec![Candidate { repo: repo("acme/shop"), reason: words.clone() }];
        messages.push(RepositoryPicker { prompt: prompt(), asker: ana(), asked: words.clone(), candidates, others: Vec::new() }.render());
        messages.push(Notice::Update { words: words.clone() }.render());
        messages.push(UnknownRepository { named: Some(words) }.render());
        for message in &messages {
            assert_sendable(message);
            prop_assert!(!serde_json::to_string(message).unwrap().contains("<!channel>"));
        }
    }
}
