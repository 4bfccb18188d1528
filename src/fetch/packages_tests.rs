use std::io::Read as _;
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use super::super::ClientOptions;
use super::super::server::{Answer, Asked, Server};
use super::*;

/// A body that differs at each place.
fn body(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|at| seed.wrapping_add((at / 251) as u8).wrapping_mul(31).wrapping_add(at as u8)).collect()
}

fn request(name: &str, body: &[u8], urls: Vec<String>) -> PackageRequest {
    let coordinates = Coordinates::new(name, "1", "all", "test").unwrap();
    PackageRequest { coordinates, urls, sha256: Sha256::of(body), size: body.len() as u64, turn: 0 }
}

/// Answers as a server that knows ranges.
fn serve(asked: &Asked, answer: &mut Answer, body: &[u8]) {
    match asked.from() {
        Some(from) if from < body.len() => {
            let range = format!("bytes {from}-{}/{}", body.len() - 1, body.len());
            answer.send("206 Partial Content", &[("Content-Range", &range)], &body[from..]);
        }
        Some(_) => answer.send("416 Range Not Satisfiable", &[], b""),
        None => answer.send("200 OK", &[], body),
    }
}

/// Counts what is reported.
#[derive(Default)]
struct Meter(Mutex<(u64, u64)>);

impl Progress for Meter {
    fn report(&self, event: Event<'_>) {
        let mut meter = self.0.lock().unwrap();
        match event {
            Event::Start { total, .. } => meter.0 = total.unwrap(),
            Event::Advance { by, .. } => meter.1 += by,
            _ => {}
        }
    }
}

/// Asks to stop when something has come.
struct Stop(Cancel);
impl Progress for Stop {
    fn report(&self, event: Event<'_>) {
        if matches!(event, Event::Advance { .. }) {
            self.0.cancel();
        }
    }
}

/// One that has nothing.
impl<T, F: Fn(usize, &mut File) -> Result<T, BoxedError> + Sync> Shelf<T> for F {
    fn find(&self, _: usize) -> Result<Option<T>, BoxedError> {
        Ok(None)
    }

    fn store(&self, at: usize, file: &mut File) -> Result<T, BoxedError> {
        self(at, file)
    }
}

/// One to which another process brings the first request, whose partial file it has locked. It is done, or gone, once so many others have come.
struct Shared {
    theirs: Mutex<Option<File>>,
    left: Mutex<usize>,
    brings: Option<Vec<u8>>,
}

impl Shelf<Vec<u8>> for Shared {
    fn find(&self, at: usize) -> Result<Option<Vec<u8>>, BoxedError> {
        Ok(self.brings.clone().filter(|_| at == 0))
    }

    fn store(&self, _: usize, file: &mut File) -> Result<Vec<u8>, BoxedError> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut left = self.left.lock().unwrap();
        *left = left.saturating_sub(1);
        if *left == 0 {
            *self.theirs.lock().unwrap() = None;
        }
        Ok(bytes)
    }
}

struct Bench {
    dir: tempfile::TempDir,
    client: Client,
    meter: Meter,
    cancel: Cancel,
}

impl Bench {
    fn new() -> Self {
        let options = ClientOptions {
            connect_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_millis(300),
            retries: 2,
            retry_delay: Duration::from_millis(1),
            ..ClientOptions::default()
        };
        Self { dir: tempfile::tempdir().unwrap(), client: Client::new(&options).unwrap(), meter: Meter::default(), cancel: Cancel::default() }
    }

    /// Publishes by reading the bytes.
    fn run(&self, requests: &[PackageRequest]) -> Result<Vec<Vec<u8>>, DownloadError> {
        let publish = |_: usize, file: &mut File| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        packages(&self.client, requests, self.dir.path(), &publish, &self.meter, &self.cancel)
    }

    fn seed(&self, request: &PackageRequest, bytes: &[u8]) {
        std::fs::write(self.dir.path().join(format!("{}.partial", request.sha256)), bytes).unwrap();
    }

    fn partials(&self) -> usize {
        std::fs::read_dir(self.dir.path()).unwrap().count()
    }
}

#[test]
fn goes_on_after_a_broken_connection_and_after_a_silent_one() {
    let whole = body(1, 300_000);
    let bytes = whole.clone();
    let server = Server::new(move |asked, answer| match asked.number {
        0 => {
            answer.head("200 OK", &[], bytes.len());
            answer.write(&bytes[..100_000]);
        }
        1 => {
            assert_eq!(asked.from(), Some(100_000));
            answer.head("206 Partial Content", &[("Content-Range", "bytes 100000-299999/300000")], 200_000);
            answer.write(&bytes[100_000..150_000]);
            answer.stall();
        }
        _ => {
            assert_eq!(asked.from(), Some(150_000));
            serve(asked, answer, &bytes);
        }
    });
    let bench = Bench::new();
    assert_eq!(bench.run(&[request("p", &whole, vec![server.url("/p")])]).unwrap(), [whole]);
    assert_eq!((server.asked(), bench.partials()), (3, 0));
    assert_eq!(*bench.meter.0.lock().unwrap(), (300_000, 300_000));
}

#[test]
fn the_next_mirror_is_asked_for_the_rest_of_what_comes_too_slowly() {
    let whole = body(14, 2_000_000);
    let asked_for = Arc::new(Mutex::new(Vec::new()));
    let mirror = || {
        let (bytes, seen) = (whole.clone(), Arc::clone(&asked_for));
        Server::new(move |asked, answer| {
            seen.lock().unwrap().push(asked.from());
            serve(asked, answer, &bytes);
        })
    };
    let (first, next) = (mirror(), mirror());
    let requests = [request("p", &whole, vec![first.url("/p"), next.url("/p")])];
    // More than any mirror brings: each try ends after two pieces.
    let options = ClientOptions { least_rate: u64::MAX, rate_window: Duration::ZERO, retries: 1, ..ClientOptions::default() };
    let bench = Bench { client: Client::new(&options).unwrap(), ..Bench::new() };
    let error = bench.run(&requests).unwrap_err();
    assert_eq!(error.to_string().matches("bytes a second").count(), 2, "{error}");
    assert_eq!((first.asked(), next.asked(), bench.partials()), (2, 2, 1));
    let bench = Bench { client: Bench::new().client, ..bench };
    assert_eq!(bench.run(&requests).unwrap(), [whole]);
    let asked_for = asked_for.lock().unwrap();
    assert!(asked_for.len() == 5 && asked_for.is_sorted_by(|one, two| one < two), "each goes on from where the last one ended: {asked_for:?}");
}

#[test]
fn goes_on_from_what_an_earlier_run_left() {
    let whole = body(2, 50_000);
    let bytes = whole.clone();
    let server = Server::new(move |asked, answer| {
        assert_eq!(asked.from(), Some(20_000));
        serve(asked, answer, &bytes);
    });
    let bench = Bench::new();
    let request = request("p", &whole, vec![server.url("/p")]);
    bench.seed(&request, &whole[..20_000]);
    assert_eq!(bench.run(std::slice::from_ref(&request)).unwrap(), [whole]);
    assert_eq!(*bench.meter.0.lock().unwrap(), (50_000, 50_000));
}

#[test]
fn a_damaged_part_is_fetched_anew_from_the_same_server() {
    let whole = body(3, 50_000);
    let bytes = whole.clone();
    let server = Server::new(move |asked, answer| serve(asked, answer, &bytes));
    let bench = Bench::new();
    let request = request("p", &whole, vec![server.url("/p")]);
    for damaged in [vec![0; 20_000], vec![0; 50_000], vec![0; 50_001]] {
        bench.seed(&request, &damaged);
        assert_eq!(bench.run(std::slice::from_ref(&request)).unwrap(), std::slice::from_ref(&whole));
        assert_eq!(bench.partials(), 0);
    }
}

#[test]
fn a_server_that_ignores_ranges_is_read_from_the_start() {
    let whole = body(4, 50_000);
    let bytes = whole.clone();
    let server = Server::new(move |_, answer| answer.send("200 OK", &[], &bytes));
    let bench = Bench::new();
    let request = request("p", &whole, vec![server.url("/p")]);
    bench.seed(&request, &whole[..20_000]);
    assert_eq!(bench.run(&[request]).unwrap(), [whole]);
    assert_eq!((server.asked(), *bench.meter.0.lock().unwrap()), (1, (50_000, 50_000)));
}

#[test]
fn a_wrong_digest_names_who_served_it_and_leaves_nothing() {
    let whole = body(5, 1_000);
    let server = Server::new(|_, answer| answer.send("200 OK", &[], &body(6, 1_000)));
    let bench = Bench::new();
    let error = bench.run(&[request("p", &whole, vec![server.url("/p")])]).unwrap_err();
    assert!(error.is_integrity());
    assert!(error.to_string().contains(&server.url("/p")) && error.to_string().contains(&Sha256::of(&whole).to_string()), "{error}");
    assert_eq!((server.asked(), bench.partials()), (1, 0));
}

#[test]
fn a_file_of_another_length_is_refused_before_it_is_read() {
    let whole = body(7, 1_000);
    for length in [999, 1_001] {
        let server = Server::new(move |_, answer| answer.head("200 OK", &[], length));
        let bench = Bench::new();
        let error = bench.run(&[request("p", &whole, vec![server.url("/p")])]).unwrap_err();
        assert!(error.is_integrity(), "{error}");
        assert_eq!((server.asked(), bench.partials()), (1, 0));
    }
}

#[test]
fn a_body_without_a_length_is_cut_at_what_was_promised() {
    let whole = body(8, 1_000);
    let server = Server::new(|_, answer| {
        answer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        answer.write(&body(8, 2_000));
        answer.stall();
    });
    let error = Bench::new().run(&[request("p", &whole, vec![server.url("/p")])]).unwrap_err();
    assert!(error.is_integrity(), "{error}");
}

#[test]
fn the_next_mirror_is_asked_when_one_fails() {
    let whole = body(9, 1_000);
    let bytes = whole.clone();
    let absent = Server::new(|_, answer| answer.send("404 Not Found", &[], b""));
    let wrong = Server::new(|_, answer| answer.send("200 OK", &[], &[0; 1_000]));
    let right = Server::new(move |asked, answer| serve(asked, answer, &bytes));
    let bench = Bench::new();
    let urls = vec!["ftp://unreadable/".to_owned(), absent.url("/p"), wrong.url("/p"), right.url("/p")];
    assert_eq!(bench.run(&[request("p", &whole, urls)]).unwrap(), [whole]);
    assert_eq!((absent.asked(), wrong.asked(), right.asked()), (1, 1, 1));
}

#[test]
fn eight_come_at_the_same_time_and_are_returned_in_order() {
    let together = Barrier::new(8);
    let server = Server::new(move |asked, answer| {
        together.wait();
        let seed: u8 = asked.path[1..].parse().unwrap();
        serve(asked, answer, &body(seed, 1_000 + usize::from(seed)));
    });
    let bodies: Vec<_> = (0..16).map(|seed| body(seed, 1_000 + usize::from(seed))).collect();
    let requests: Vec<_> =
        bodies.iter().enumerate().map(|(at, body)| request(&format!("p{at}"), body, vec![server.url(&format!("/{at}"))])).collect();
    assert_eq!(Bench::new().run(&requests).unwrap(), bodies);
}

#[test]
fn what_is_wanted_first_comes_first_and_of_that_the_longest() {
    let bodies: Vec<_> = (0..6).map(|seed| body(seed, 1_000 * (1 + usize::from(seed)))).collect();
    let served = bodies.clone();
    let asked_for = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked_for);
    let server = Server::new(move |asked, answer| {
        let at: usize = asked.path[1..].parse().unwrap();
        seen.lock().unwrap().push(at);
        serve(asked, answer, &served[at]);
    });
    let requests = bodies
        .iter()
        .enumerate()
        .map(|(at, body)| PackageRequest { turn: [2, 0, 1, 0, 1, 2][at], ..request(&format!("p{at}"), body, vec![server.url(&format!("/{at}"))]) });
    let requests: Vec<_> = requests.collect();
    let bench = Bench { client: Client::new(&ClientOptions { workers: 1, ..ClientOptions::default() }).unwrap(), ..Bench::new() };
    assert_eq!(bench.run(&requests).unwrap(), bodies, "in the order of the requests");
    assert_eq!(*asked_for.lock().unwrap(), [3, 1, 4, 2, 5, 0]);
}

#[test]
fn all_that_failed_is_listed_and_the_rest_has_arrived() {
    let server = Server::new(|asked, answer| match asked.path.as_str() {
        "/right" => answer.send("200 OK", &[], b"right"),
        "/wrong" => answer.send("200 OK", &[], b"other"),
        _ => answer.send("404 Not Found", &[], b""),
    });
    let published = Mutex::new(Vec::new());
    let publish = |at: usize, _: &mut File| {
        published.lock().unwrap().push(at);
        Ok(())
    };
    let bench = Bench::new();
    let requests = [
        request("absent", b"right", vec![server.url("/absent")]),
        request("right", b"right", vec![server.url("/right")]),
        request("wrong", b"wrong", vec![server.url("/wrong")]),
        request("nowhere", b"never", Vec::new()),
    ];
    let error = packages(&bench.client, &requests, bench.dir.path(), &publish, &bench.meter, &bench.cancel).unwrap_err();
    let names: Vec<_> = error.failures().iter().map(|failure| failure.coordinates.name()).collect();
    assert_eq!((names, published.into_inner().unwrap()), (vec!["absent", "wrong", "nowhere"], vec![1]));
    let text = error.to_string();
    assert!(text.starts_with("3 of 4 packages did not arrive:\n  absent=1:all (test): http://"), "{text}");
    assert!(text.contains("404 (Not Found)") && text.contains("no address is known"), "{text}");
    assert!(error.hint().unwrap().contains("run the same command again"));
}

#[test]
fn what_could_not_be_stored_is_kept_and_not_fetched_again() {
    let whole = body(10, 1_000);
    let bytes = whole.clone();
    let server = Server::new(move |asked, answer| serve(asked, answer, &bytes));
    let bench = Bench::new();
    let request = request("p", &whole, vec![server.url("/p")]);
    let publish = |_: usize, _: &mut File| -> Result<(), _> { Err("the store is closed".into()) };
    let error = packages(&bench.client, std::slice::from_ref(&request), bench.dir.path(), &publish, &bench.meter, &bench.cancel).unwrap_err();
    assert!(error.to_string().contains("could not be stored: the store is closed"), "{error}");
    assert_eq!(bench.run(&[request]).unwrap(), [whole]);
    assert_eq!((server.asked(), bench.partials()), (1, 0));
}

/// Three packages while another process is at the first, of which it has `has` bytes; it is done, or gone, once `others` have come. Returns what came, and
/// what the server was asked for first and for the first package: from where.
fn beside_another(has: usize, others: usize, brings: bool) -> (Vec<Vec<u8>>, String, Vec<Option<usize>>) {
    let bodies: Vec<_> = (0..3).map(|seed| body(20 + seed, 30_000)).collect();
    let (served, asked_for) = (bodies.clone(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&asked_for);
    let server = Server::new(move |asked, answer| {
        seen.lock().unwrap().push((asked.path.clone(), asked.from()));
        serve(asked, answer, &served[asked.path[1..].parse::<usize>().unwrap()]);
    });
    let requests: Vec<_> =
        bodies.iter().enumerate().map(|(at, body)| request(&format!("p{at}"), body, vec![server.url(&format!("/{at}"))])).collect();
    let bench = Bench::new();
    bench.seed(&requests[0], &bodies[0][..has]);
    let theirs = crate::locked::open(&bench.dir.path().join(format!("{}.partial", requests[0].sha256))).unwrap();
    let shelf = Shared { theirs: Mutex::new(theirs), left: Mutex::new(others), brings: brings.then(|| b"theirs".to_vec()) };
    let came = packages(&bench.client, &requests, bench.dir.path(), &shelf, &bench.meter, &bench.cancel).unwrap();
    assert_eq!(came[1..], bodies[1..]);
    assert!(brings || came[0] == bodies[0]);
    assert_eq!(*bench.meter.0.lock().unwrap(), (90_000, 90_000));
    assert_eq!(bench.partials(), usize::from(others == usize::MAX));
    let asked_for = asked_for.lock().unwrap();
    let of_first = asked_for.iter().filter(|(path, _)| path == "/0").map(|(_, from)| *from).collect();
    (came, asked_for[0].0.clone(), of_first)
}

#[test]
fn what_another_process_brings_is_not_fetched() {
    let (came, first, of_first) = beside_another(20_000, 2, true);
    assert_eq!((came[0].as_slice(), of_first), (&b"theirs"[..], Vec::new()));
    assert_ne!(first, "/0");
}

#[test]
fn what_another_process_left_is_gone_on_with() {
    assert_eq!(beside_another(20_000, 2, false).2, [Some(20_000)]);
}

#[test]
fn what_another_process_does_not_go_on_with_is_fetched_beside_it() {
    assert_eq!(beside_another(20_000, usize::MAX, false).2, [None]);
}

#[test]
fn stopping_ends_within_a_second_and_keeps_what_came() {
    let whole = body(12, 100_000);
    let bench = Bench::new();
    let (bytes, stop) = (whole.clone(), bench.cancel.clone());
    let server = Server::new(move |_, answer| {
        answer.head("200 OK", &[], bytes.len());
        answer.write(&bytes[..60_000]);
        answer.stall();
    });
    let client = Client::new(&ClientOptions::default()).unwrap();
    let publish = |_: usize, _: &mut File| Ok(());
    let started = Instant::now();
    let requests = [request("p", &whole, vec![server.url("/p")])];
    let error = packages(&client, &requests, bench.dir.path(), &publish, &Stop(stop), &bench.cancel).unwrap_err();
    assert!(matches!(error, DownloadError::Cancelled(_)), "{error}");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(bench.partials(), 1);
}

#[test]
fn a_server_that_is_gone_is_not_asked_for_every_package() {
    let server = Arc::new(Server::new(|_, answer| answer.send("503 Service Unavailable", &[], b"")));
    let requests: Vec<_> = (0..200u8).map(|at| request(&format!("p{at}"), &[at], vec![server.url("/p")])).collect();
    let error = Bench::new().run(&requests).unwrap_err();
    assert_eq!(error.failures().len(), 200);
    assert!(server.asked() < 100, "{}", server.asked());
    assert!(error.to_string().contains("not tried"), "{error}");
}

#[test]
fn packages_of_a_directory_of_the_host() {
    let whole = body(13, 300_000);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("p.deb"), &whole).unwrap();
    let bench = Bench::new();
    let request = request("p", &whole, vec![Url::from_file_path(dir.path().join("p.deb")).unwrap().to_string()]);
    bench.seed(&request, &whole[..20_000]);
    assert_eq!(bench.run(&[request]).unwrap(), [whole]);
}
