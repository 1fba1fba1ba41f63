//! Scrapy: a spider over a list of URLs that reads title and text.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::ensure;

use super::per_second;

const SPIDER: &str = r#"
import scrapy

class Bench(scrapy.Spider):
    name = "bench"
    custom_settings = {
        "CONCURRENT_REQUESTS": 64, "ROBOTSTXT_OBEY": True, "LOG_LEVEL": "ERROR", "TELNETCONSOLE_ENABLED": False,
    }

    async def start(self):
        with open(self.urls) as urls:
            for url in urls:
                yield scrapy.Request(url.strip())

    def parse(self, response):
        yield {"url": response.url, "title": response.css("title::text").get(), "text": " ".join(response.css("main ::text").getall())}
"#;

/// Pages per second, the start of the interpreter included: a crawl is a process.
pub(super) async fn rate(urls: &[String]) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("bench.py"), SPIDER)?;
    std::fs::write(folder.path().join("urls.txt"), urls.join("\n"))?;
    let (path, begun) = (folder.path().to_owned(), Instant::now());
    let run = tokio::task::spawn_blocking(move || {
        Command::new("scrapy")
            .args([
                "runspider",
                "bench.py",
                "-a",
                "urls=urls.txt",
                "-O",
                "items.jsonl",
            ])
            .current_dir(path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
    });
    ensure!(run.await??.success(), "the spider failed");
    let rate = per_second(urls.len(), begun);
    let items = std::fs::read_to_string(folder.path().join("items.jsonl"))?;
    let count = items.lines().count();
    ensure!(count == urls.len(), "{count} items of {} pages", urls.len());
    Ok(rate)
}
