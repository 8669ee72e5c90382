use super::*;
use crate::Error;

fn parse(bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Error> {
    Request::new().parse(bytes, limits)
}

#[test]
fn endless_first_line_is_refused_before_it_ends() {
    let limits = Limits {
        target: 100,
        ..Limits::default()
    };
    let mut line = b"GET /".to_vec();
    line.resize(1000, b'a');
    assert_eq!(parse(&line, &limits), Err(Error::TargetTooLong));
}

#[test]
fn limits_never_exceed_what_offsets_can_hold() {
    let limits = Limits {
        head: usize::MAX,
        target: usize::MAX,
        headers: usize::MAX,
    };
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
    head.resize(MAX_HEAD - 4, b'x');
    head.extend_from_slice(b"\r\n\r\n");
    let mut request = Request::new();
    assert_eq!(request.parse(&head, &limits), Ok(Some(MAX_HEAD)));
    assert_eq!(
        request.head(&head).header("x").map(<[u8]>::len).collect::<Vec<_>>(),
        [MAX_HEAD - 32]
    );
    head.insert(30, b'x');
    assert_eq!(request.parse(&head, &limits), Err(Error::HeadTooLarge));
    // Each field is looked for among the names in Connection.
    let names = |count| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: {}\r\n\r\n",
            vec!["z"; count].join(",")
        )
    };
    assert!(request.parse(names(MAX_HEADERS).as_bytes(), &limits).is_ok());
    assert_eq!(
        request.parse(names(MAX_HEADERS + 1).as_bytes(), &limits),
        Err(Error::TooManyHeaders)
    );
    let many = |count| ["GET / HTTP/1.1\r\nHost: a\r\n", &"X: y\r\n".repeat(count - 1), "\r\n"].concat();
    assert!(request.parse(many(MAX_HEADERS).as_bytes(), &limits).is_ok());
    assert_eq!(
        request.parse(many(MAX_HEADERS + 1).as_bytes(), &limits),
        Err(Error::TooManyHeaders)
    );
}

#[test]
fn view_reads_what_the_client_sent() {
    let bytes = b"\r\nPUT /cart/42?user=7&x?y HTTP/1.1\r\nhost: shop:80\r\nCookie: a=1; session=abc=\r\nX-Key: one\r\n\
        cookie: late=2;quoted=\"q\"\r\nx-key: two \r\nX-Request-Id: r-1\r\n\r\nbody";
    let mut request = Request::new();
    let length = request.parse(bytes, &Limits::default()).unwrap().unwrap();
    let head = request.head(bytes);
    assert_eq!(&bytes[length..], b"body");
    assert_eq!(head.len(), length);
    assert_eq!(
        (head.method(), head.method_name(), head.version()),
        (Method::Put, "PUT", Version::Http11)
    );
    assert_eq!(
        (head.target(), head.path(), head.query()),
        ("/cart/42?user=7&x?y", "/cart/42", Some("user=7&x?y"))
    );
    assert_eq!((head.authority(), head.is_absolute()), ("shop:80", false));
    assert_eq!(head.header("X-KEY").collect::<Vec<_>>(), [b"one", b"two"]);
    assert_eq!(head.header("X-Ke").count(), 0);
    assert_eq!(head.cookie("session"), Some(&b"abc="[..]));
    assert_eq!(head.cookie("late"), Some(&b"2"[..]));
    assert_eq!(head.cookie("sess"), None);
    assert_eq!(head.request_id_at().map(|at| &bytes[at]), Some(&b"r-1"[..]));
}

#[test]
fn expectations_and_upgrades_count_in_http_1_1_alone() {
    let read = |head: &str| {
        let mut request = Request::new();
        request.parse(head.as_bytes(), &Limits::default()).unwrap();
        (request.expects_continue(), request.is_upgrade())
    };
    let fields = "Host: a\r\nExpect: 100-Continue\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(read(&format!("GET / HTTP/1.1\r\n{fields}")), (true, true));
    assert_eq!(read(&format!("GET / HTTP/1.0\r\n{fields}")), (false, false));
    assert_eq!(
        read("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nExpect:\r\n\r\n"),
        (false, false)
    );
}

#[test]
fn nothing_of_a_request_is_left_in_the_next() {
    let limits = Limits::default();
    let first =
        b"POST http://x/y?z HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\nConnection: keep-alive, X\r\nX: 1\r\n\r\n";
    let second = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n";
    let (mut reused, mut fresh) = (Request::new(), Request::new());
    reused.parse(first, &limits).unwrap();
    reused.parse(&first[..20], &limits).unwrap();
    reused.clear();
    assert_eq!(reused.parse(second, &limits), fresh.parse(second, &limits));
    assert_eq!(format!("{reused:?}"), format!("{fresh:?}"));
}
