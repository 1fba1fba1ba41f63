use futures::executor::block_on;
use trawl_conformance::{Clock, Memory};
use trawl_core::ids::AccountId;
use trawl_core::state::*;
use trawl_store::*;

#[test]
fn main_path() {
    let clock = Clock::at(1_800_000_000_000);
    let memory = Memory::with_clock(&clock);
    let store = Store::new(&memory);
    block_on(async {
        store.migrate().await.unwrap();
        store.migrate().await.unwrap();
        let Created::Account(tenant) = store.create_account("a@b.c", "a@b.c", "x", Registration::Open).await.unwrap() else { panic!() };
        let new = NewMessage { tenant, user_label: Some("n1".into()), request_url: "http://h/1".into(), host: "h".into(), kind: Kind::Text, callback_url: Some("http://cb/".into()), priority: 5, mode: Mode::Best, selector: None, max_age_s: None, idem_key: Some("k".into()), body_digest: [1; 32] };
        let limits = QueueLimits { tenant_max: 10, total_max: 100, host_in_flight_max: 2, host_gap_ms: 0 };
        let s = store.submit(&new, &limits).await.unwrap();
        dbg!(s);
        dbg!(store.submit(&new, &limits).await.unwrap());
        let jobs = store.claim(Kind::Text, 4, "w", 60).await.unwrap();
        dbg!(&jobs);
        let j = &jobs[0];
        let f = Finished { id: j.id, lease: j.lease, final_url: "u".into(), http_status: 200, content_type: "text/html".into(), encoding: "identity".into(), meta: "{}".into(), body: vec![1, 2, 3], etag: None, last_modified: None };
        dbg!(store.finish(&[f.clone()]).await.unwrap());
        dbg!(store.finish(&[f.clone()]).await.unwrap());
        dbg!(store.message(tenant, j.id).await.unwrap());
        dbg!(store.messages(tenant, &Filter { limit: 10, ..Default::default() }).await.unwrap().len());
        dbg!(store.events(tenant, j.id).await.unwrap());
        let cs = store.claim_callbacks(5, "c", 60).await.unwrap();
        dbg!(&cs);
        dbg!(store.callback_done(cs[0].id, cs[0].lease, &Attempt { status: Some(200), latency_ms: 5, error: None }).await.unwrap());
        dbg!(store.deliveries(tenant, j.id).await.unwrap());
        dbg!(store.message(tenant, j.id).await.unwrap().unwrap().callback_status);
        dbg!(store.result(tenant, j.id).await.unwrap());
        dbg!(store.retry(tenant, j.id).await.unwrap());
        dbg!(store.queues(None).await.unwrap());
        dbg!(store.queues(Some(AccountId(77))).await.unwrap().len());
        dbg!(store.wake().await.unwrap(), store.rescue().await.unwrap(), store.waiting().await.unwrap());
        dbg!(store.purge(1, 1, 10).await.unwrap());
        dbg!(store.last_result(tenant, Kind::Text, "http://h/1").await.unwrap());
        dbg!(store.replay(tenant, j.id).await.unwrap());
        store.ready().await.unwrap();
        dbg!(store.webhook_secrets(tenant, b"abc").await.unwrap());
        dbg!(store.rotate_webhook_secret(tenant, b"def").await.unwrap());
    });
    memory.raw(|c| {
        let r: (String, Option<String>, i64) = c.query_row("SELECT date_added, date_process_complete, is_processed FROM Messages", [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).unwrap();
        dbg!(r);
    });
}
