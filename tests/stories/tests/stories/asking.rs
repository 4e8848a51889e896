//! From a question in a channel to its answer.

use anyhow::{Result, ensure};
use longshore_emulators::slack::Person;
use serde_json::{Value, json};

use crate::{
    hold::container,
    stage::tell,
    thread::{Thread, redacted, whispers},
};

#[test]
fn a_mention_becomes_a_pull_request_and_a_colleague_goes_on_with_it() {
    tell(async |stage| {
        let thread = Thread::open(stage, "U0ANA", "C0ROOM1", "@longshore coupons are refused on their last valid day")?;
        thread.shows("Why here: ").await?;
        let first = thread.done(1).await?;

        insta::assert_snapshot!(redacted(&thread.text()), @r#"
        #room-1

        Ana Kovač  (clock)
        @longshore coupons are refused on their last valid day

          longshore APP  (clock) (edited)
          ✅ Done · acme/storefront
          *acme/storefront* on `longshore/s-…`
          Why here: words in common with acme/storefront: coupon
          ✅ Read storefront/coupons.py
          ✅ Reproduce it with python3 -m unittest tests.test_coupon_dates
          ✅ Accept a coupon on its last day
          ✅ Run the test again and open a pull request
          Asked by @ana · (time) · (tokens) · session `s-…`
          [Open session](http://127.0.0.1:…/sessions/s-…?key=…) [Wrong repository]

          longshore APP  (clock)
          💡 I can reproduce it: `python3 -m unittest tests.test_coupon_dates` fails. The cause is in `storefront/coupons.py`; mending it now.

          longshore APP  (clock)
          ✅ *Done*, @ana.
          The comparison left out the last day of validity, which is meant to count. The change is in `storefront/coupons.py`. `python3 -m unittest tests.test_coupon_dates` failed before it and passes now. Pull request: http://127.0.0.1:…/acme/storefront/pull/N

          This was written by Longshore's scripted demo model, not by a real one.
          ✅ *Check* `python3 -m compileall -q storefront && python3 -m unittest tests.test_money tests.test_catalog tests.test_checkout` exit 0 in (time) on `(commit)`
          🔀 Pull request #N Accept a coupon on its last day (http://127.0.0.1:…/acme/storefront/pull/N) · open
          1 file changed, 1 line added, 1 line removed
          classified (time) · sandbox (time) · sync (time) · first token (time) · turn (time)
          Models: (tokens)
          session `s-…`
          [Open pull request](http://127.0.0.1:…/acme/storefront/pull/N) [Open session](http://127.0.0.1:…/sessions/s-…?key=…)
        "#);
        let pull = thread.pull().await?;
        let permalink = format!("/archives/C0ROOM1/p{}", thread.ts.replace('.', ""));
        ensure!(pull.body.contains("> coupons are refused on their last valid day"), "{}", pull.body);
        ensure!(pull.body.contains(&permalink), "no link to the thread {permalink}:\n{}", pull.body);
        ensure!(pull.author == "ana", "opened by {}", pull.author);
        let commits = stage.github.pull_request_commits("acme/storefront", pull.number).await?;
        ensure!(commits.len() == 1, "{commits:?}");
        assert_eq!((&*commits[0].author.name, &*commits[0].author.email), ("Ana Kovač", "ana@example.com"));

        thread.reply("U0BEN", "nice! could the message also say on which day the coupon expired?")?;
        let second = thread.done(2).await?;

        assert_eq!(second.sandbox, first.sandbox, "the sandbox of the first turn is used");
        assert_eq!(thread.sessions().await?.len(), 1);
        assert_eq!(thread.messages("final").len(), 2, "{}", thread.text());
        assert_eq!(thread.pull().await?.number, pull.number);
        let commits = stage.github.pull_request_commits("acme/storefront", pull.number).await?;
        let authors: Vec<&str> = commits.iter().map(|commit| commit.author.email.as_str()).collect();
        assert_eq!(authors, ["ana@example.com", "ben@example.com"]);
        let remembers = stage.model().requests().iter().any(|request| {
            let conversation = request.body["messages"].to_string();
            conversation.contains("coupons are refused on their last valid day") && conversation.contains("on which day the coupon expired")
        });
        ensure!(remembers, "no request held both prompts");
        Ok(())
    });
}

#[test]
fn whatever_slack_delivers_again_is_one_prompt() {
    tell(async |stage| {
        let known = |subject: &str| -> Vec<String> {
            let deliveries = stage.slack.deliveries().into_iter().filter(|delivery| delivery.subject == subject);
            deliveries.filter_map(|delivery| delivery.event_id).collect()
        };
        let before = [known("app_mention"), known("message")].concat();
        let thread = Thread::open(stage, "U0ANA", "C0ROOM2", "@longshore the average tile shows NaN when there is no data")?;
        // The post itself comes as two events.
        let new = |subject: &str| -> Vec<String> { known(subject).into_iter().filter(|id| !before.contains(id)).collect() };
        let is_delivered = |_: &_| (!new("app_mention").is_empty() && !new("message").is_empty()).then_some(());
        stage.slack.wait_until(is_delivered, crate::thread::SOON).await?;
        let events = [new("app_mention"), new("message")].concat();
        for _ in 0..5 {
            for event in &events {
                stage.slack.redeliver(event)?;
            }
        }
        thread.done(1).await?;
        for event in &events {
            stage.slack.redeliver(event)?;
        }
        let is_heard = |slack: &longshore_emulators::slack::SlackHandle| {
            let deliveries = slack.deliveries();
            let mut ours = deliveries.iter().filter(|delivery| delivery.event_id.as_ref().is_some_and(|id| events.contains(id)));
            ours.all(|delivery| delivery.is_acknowledged()).then_some(())
        };
        stage.slack.wait_until(is_heard, crate::thread::SOON).await?;
        answers_in(stage, "U0CHIYO", "C0ROOM2").await?;

        assert_eq!(thread.sessions().await?.len(), 1);
        let turns = stage.turns(&thread.session().await?.id).await?;
        assert_eq!(turns.len(), 1, "{}", thread.text());
        assert_eq!((thread.messages("card").len(), thread.messages("final").len()), (1, 1), "{}", thread.text());
        thread.pull().await?;
        Ok(())
    });
}

/// Everything that was posted in the room before has been handled when this returns: deliveries of one room are taken in order.
async fn answers_in(stage: &longshore_harness::Harness, user: &str, channel: &str) -> Result<String> {
    stage.slack.person(user).post(channel, "@longshore")?;
    whispers(stage, user, channel, "Tell me what to do").await
}

#[test]
fn talk_that_is_not_for_the_bot_is_left_alone() {
    tell(async |stage| {
        let room = "C0ROOM3";
        let talk = Thread::open(stage, "U0ANA", room, "did anybody see that the splitting of a bill loses a cent?")?;
        talk.reply("U0BEN", "stop, I will look at it")?;
        let ts = |number: u32| format!("1700000000.00000{number}");
        let by_a_bot = |number: u32, extra: Value| {
            let mut event = json!({
                "type": "message", "channel": room, "channel_type": "channel", "ts": ts(number), "event_ts": ts(number),
                "text": "<@U0LONGSHORE> splitting a bill between three people loses a cent", "user": "U0OTHERBOT",
            });
            event.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            event
        };
        stage.slack.send_raw_event(by_a_bot(1, json!({ "subtype": "bot_message", "bot_id": "B0OTHER" })));
        stage.slack.send_raw_event(by_a_bot(2, json!({ "bot_id": "B0OTHER", "app_id": "A0OTHER" })));
        stage.slack.send_raw_event(by_a_bot(3, json!({ "user": "U0LONGSHORE" })));
        stage.slack.send_raw_event(by_a_bot(4, json!({ "type": "app_mention", "bot_id": "B0OTHER" })));

        // A mention with nothing in it gets a hint, for the asker's eyes only.
        let hint = answers_in(stage, "U0BEN", room).await?;

        assert!(hint.contains("for instance"), "{hint}");
        let by_longshore: Vec<Value> = stage.slack.messages(room).into_iter().filter(|message| message["user"] == "U0LONGSHORE").collect();
        assert_eq!(by_longshore, Vec::<Value>::new());
        assert_eq!(talk.sessions().await?.len(), 0);
        Ok(())
    });
}

#[test]
fn whoever_is_not_on_the_list_is_told_so_in_private() {
    tell(async |stage| {
        let room = "C0ROOM4";
        let thread = Thread::open(stage, "U0GUS", room, "@longshore splitting a bill between three people loses a cent")?;
        let refusal = thread.whispers("U0GUS", "not on the list").await?;
        assert!(refusal.contains("Whoever runs Longshore here can change that"), "{refusal}");
        let gus = stage.slack.person("U0GUS");
        gus.slash(room, "/agent status").await?;
        let refusals = |_: &_| {
            let refused = |message: &Value| message["channel"] == room && message.to_string().contains("not on the list");
            Some(gus.ephemerals().into_iter().filter(refused).count()).filter(|count| *count == 2)
        };
        stage.slack.wait_until(refusals, crate::thread::SOON).await?;
        answers_in(stage, "U0ANA", room).await?;

        assert_eq!(thread.said(), Vec::<Value>::new(), "{}", thread.text());
        assert_eq!(thread.sessions().await?.len(), 0);
        Ok(())
    });
}

#[test]
fn a_question_about_the_bot_needs_no_sandbox() {
    tell(async |stage| {
        let about = Thread::open(stage, "U0BEN", "C0ROOM5", "@longshore what can you do?")?;
        let answer = about.shows("I am Longshore's scripted demo model").await?;
        let hello = Thread::open(stage, "U0ANA", "C0ROOM5", "@longshore hello")?;
        hello.shows("Longshore").await?;

        insta::assert_snapshot!(redacted(&answer), @r#"
        #room-5

        Ben Okafor  (clock)
        @longshore what can you do?

          longshore APP  (clock)
          I am Longshore's scripted demo model. I can only mend the listed defects of the sample repositories: tell me about one of them, for example that the checkout page double-charges on retry. With a real model's key, Longshore answers anything.

          This was written by Longshore's scripted demo model, not by a real one.
        "#);
        for thread in [about, hello] {
            assert_eq!(thread.said().len(), 1, "{}", thread.text());
            assert_eq!(thread.sessions().await?.len(), 0);
        }
        Ok(())
    });
}

#[test]
fn a_question_about_a_repository_changes_nothing() {
    tell(async |stage| {
        let thread = Thread::open(stage, "U0CHIYO", "C0ROOM6", "@longshore what does the delivery planning do for drivers?")?;
        thread.done(1).await?;

        insta::assert_snapshot!(redacted(&thread.text()), @r#"
        #room-6

        Chiyo Tanaka  (clock)
        @longshore what does the delivery planning do for drivers?

          longshore APP  (clock) (edited)
          ✅ Done · acme/courier
          *acme/courier* on `longshore/s-…`
          Why here: words in common with acme/courier: delivery, driver, plan
          Asked by @chiyo · (time) · (tokens) · session `s-…`
          [Open session](http://127.0.0.1:…/sessions/s-…?key=…) [Wrong repository]

          longshore APP  (clock)
          ✅ *Done*, @chiyo.
          From `README.md`: Delivery planning at Acme: which parcels go on which van, in which order a driver visits the stops, when the van arrives, and where a parcel is. The dispatch desk and the drivers' app call it.

          I changed nothing.

          This was written by Longshore's scripted demo model, not by a real one.
          classified (time) · sandbox (time) · sync (time) · first token (time) · turn (time)
          Models: (tokens)
          session `s-…`
          [Open session](http://127.0.0.1:…/sessions/s-…?key=…)
        "#);
        assert_eq!(thread.session().await?.repository, "acme/courier");
        assert_eq!(thread.pulls().await?, []);
        let branch = thread.session().await?.branch;
        assert_eq!(stage.github.branch_head("acme/courier", &branch).await?, None, "nothing was pushed");
        container(&thread, 1).await?;
        Ok(())
    });
}

#[test]
fn a_direct_message_needs_no_mention() {
    tell(async |stage| {
        let chiyo: Person = stage.slack.person("U0CHIYO");
        let ts = chiyo.post("D0CHIYO", "tracking numbers in lower case are not found")?;
        let thread = Thread { harness: stage, channel: "D0CHIYO".to_owned(), ts };
        thread.done(1).await?;
        assert_eq!(thread.session().await?.repository, "acme/courier");
        thread.pull().await?;
        Ok(())
    });
}
