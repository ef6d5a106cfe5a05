//! What Python's managers do, by the rows of its tests.

#![expect(missing_docs, reason = "what a manager serves is public, and nobody reads this")]

use std::sync::OnceLock;
use std::time::Duration;

use shmkit_manager::__manager::Known;
use shmkit_manager::{
    Address, Any, Builder, CallError, Dict, Key, List, Manager, Queue, Remote, StartError, manager,
};
use shmkit_process::{Failure, Process, Status, task};

shmkit_process::early!();

const LONG: Duration = Duration::from_secs(20);

fn local() -> Address {
    Address::Tcp(([127, 0, 0, 1], 0).into())
}

#[test]
fn mgr_01_a_list_is_a_list_and_nested_ones_see_later_changes() {
    let manager = Manager::start().unwrap();
    let a = manager.list(0..10_i64).unwrap();
    assert_eq!(a.slice(..).unwrap(), (0..10).collect::<Vec<_>>());
    let b = manager.list::<i64>([]).unwrap();
    assert!(b.is_empty().unwrap());
    b.extend(0..5).unwrap();
    assert_eq!((b.get(2).unwrap(), b.get(9).unwrap()), (Some(2), None));
    assert_eq!((b.slice(2..10).unwrap(), b.slice(7..).unwrap()), (vec![2, 3, 4], vec![]));
    assert!(b.repeat(2).unwrap() && !b.repeat(usize::MAX).unwrap());
    assert_eq!(b.to_vec().unwrap(), [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    assert_eq!(
        [b.to_vec().unwrap(), vec![5, 6]].concat().len(),
        12,
        "`+` is a list of this process's"
    );
    assert_eq!(b.splice(1..9, [8]).unwrap().len(), 8);
    b.insert(0, 9).unwrap();
    assert_eq!((b.position(8).unwrap(), b.count(4).unwrap()), (Some(2), 1));
    assert_eq!(
        (b.set(0, 3).unwrap(), b.pop().unwrap(), b.remove(5).unwrap()),
        (Some(9), Some(4), None)
    );
    b.sort().unwrap();
    assert_eq!(b.to_vec().unwrap(), [0, 3, 8]);
    let e = manager.list([a.clone(), b]).unwrap();
    a.push(10).unwrap();
    let inner = e.get(0).unwrap().unwrap();
    assert_eq!((inner.len().unwrap(), e.len().unwrap()), (11, 2));
    inner.clear().unwrap();
    assert_eq!(a.to_string(), "[]");
}

#[test]
fn mgr_02_an_iterator_over_a_list_sees_what_is_there_by_then_and_ends_once() {
    let manager = Manager::start().unwrap();
    let a = manager.list([0_i64, 1]).unwrap();
    let mut items = a.iter();
    assert_eq!(items.next().unwrap().unwrap(), 0);
    a.set(1, 7).unwrap();
    a.push(8).unwrap();
    assert_eq!(items.by_ref().map(Result::unwrap).collect::<Vec<_>>(), [7, 8]);
    a.push(9).unwrap();
    assert!(items.next().is_none());
}

/// A list whose items may be lists.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
enum Item {
    Number(i64),
    List(List<Item>),
}

#[test]
fn mgr_03_a_list_may_contain_itself_and_go() {
    let manager = Manager::start().unwrap();
    let inner = manager.list([Item::Number(1)]).unwrap();
    let outer = manager.list([Item::List(inner.clone())]).unwrap();
    inner.push(Item::Number(2)).unwrap();
    let Some(Item::List(found)) = outer.get(0).unwrap() else { panic!("it is a list") };
    assert_eq!(found.len().unwrap(), 2);
    outer.push(Item::List(outer.clone())).unwrap();
    let Some(Item::List(itself)) = outer.get(1).unwrap() else { panic!("it is a list") };
    assert!(itself.proxy() == outer.proxy());
    // In the manager the list loses what holds it in the middle of its own method.
    outer.clear().unwrap();
    drop((outer, itself, found, inner));
    assert_eq!(manager.objects().unwrap(), 0);
    let circle = manager.list::<Item>([]).unwrap();
    circle.push(Item::List(circle.clone())).unwrap();
    drop(circle);
    assert_eq!(manager.objects().unwrap(), 1, "nobody sees that it holds itself, and all goes on");
}

#[test]
fn mgr_05_a_dict_that_changes_ends_its_iterations() {
    let manager = Manager::start().unwrap();
    let d = manager.dict::<String, i64>().unwrap();
    d.extend([("a", 1_i64), ("b", 2), ("c", 3)]).unwrap();
    let all: Result<Vec<_>, _> = d.iter().unwrap().collect();
    assert_eq!(all.unwrap(), d.to_vec().unwrap());
    let mut entries = d.iter().unwrap();
    assert_eq!(entries.next().unwrap().unwrap(), ("a".into(), 1));
    d.insert("b", 20_i64).unwrap();
    assert_eq!(entries.next().unwrap().unwrap(), ("b".into(), 20), "no key has come or gone");
    d.insert("d", 4_i64).unwrap();
    assert!(matches!(entries.next(), Some(Err(CallError::Changed))));
    assert!(entries.next().is_none());
}

#[test]
fn mgr_06_a_nested_dict_survives_what_it_was_in() {
    let manager = Manager::start().unwrap();
    let pets = manager.dict::<String, i64>().unwrap();
    let outer = manager.dict::<String, Dict<String, i64>>().unwrap();
    outer.insert("pets", pets.clone()).unwrap();
    pets.insert("ferrets", 2).unwrap();
    drop(pets);
    let pets = outer.get("pets").unwrap().unwrap();
    drop(outer);
    assert_eq!(pets.get("ferrets").unwrap(), Some(2));
    assert_eq!(manager.objects().unwrap(), 1);
    let whole = manager.dict::<i64, Dict<String, i64>>().unwrap();
    whole.insert(1, pets).unwrap();
    assert_eq!(whole.remove(1).unwrap().unwrap().get("ferrets").unwrap(), Some(2));
    assert_eq!(manager.objects().unwrap(), 1);
}

#[test]
fn mgr_07_a_queue_works_from_inside_a_list_or_a_dict() {
    let manager = Manager::start().unwrap();
    let queues = manager.list([manager.queue::<i64>(4).unwrap()]).unwrap();
    let named = manager.dict::<String, Queue<i64>>().unwrap();
    named.insert("q", queues.get(0).unwrap().unwrap()).unwrap();
    queues.get(0).unwrap().unwrap().put(7).unwrap();
    let q = named.get("q").unwrap().unwrap();
    assert_eq!(q.get_timeout(LONG).unwrap(), 7);
    assert!(matches!(q.try_get(), Err(CallError::WouldBlock)));
    assert!(matches!(q.get_timeout(Duration::from_millis(5)), Err(CallError::TimedOut)));
    (0..4).for_each(|n| q.try_put(n).unwrap());
    assert!(matches!(q.try_put(4), Err(CallError::WouldBlock)));
    assert_eq!(q.len().unwrap(), 4);
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(q.get().unwrap(), 0));
        q.put_timeout(4, LONG).unwrap();
    });
}

#[test]
fn mgr_08_a_namespace_shows_what_is_not_its_own() {
    let manager = Manager::start().unwrap();
    let n = manager.namespace().unwrap();
    n.set("name", "Bob").unwrap();
    n.set("job", "Builder").unwrap();
    n.set("_hidden", "hidden").unwrap();
    assert_eq!(
        (n.get("name").unwrap(), n.get("_hidden").unwrap()),
        (Some("Bob".into()), Some("hidden".into()))
    );
    n.remove("job").unwrap();
    assert_eq!((n.get("job").unwrap(), n.to_string()), (None, "Namespace(name='Bob')".into()));
    manager.publish("n", &n).unwrap();
    let there: shmkit_manager::Namespace = manager.find("n").unwrap().unwrap();
    assert_eq!(there.get("_hidden").unwrap(), None);
}

struct Foo;

#[manager(crate = shmkit_manager)]
impl Foo {
    pub fn new() -> Self {
        Self
    }

    pub fn f(&self) -> String {
        "f()".into()
    }

    pub fn g(&self) -> Result<(), String> {
        Err("g".into())
    }

    fn _h(&self) -> String {
        "_h()".into()
    }
}

struct Bar;

#[manager(crate = shmkit_manager, expose(new, f, _h))]
impl Bar {
    fn new() -> Self {
        Self
    }

    fn f(&self) -> String {
        "f()".into()
    }

    #[expect(dead_code, reason = "nobody can call it from elsewhere")]
    pub fn g(&self) {}

    fn _h(&self) -> String {
        "_h()".into()
    }
}

// Also MGR-11: what a method says went wrong is of the same type to who has called it.
#[test]
fn mgr_09_and_mgr_11_what_is_exposed_is_called_and_its_errors_come() {
    let manager = Manager::start().unwrap();
    let foo = FooProxy::new(&manager).unwrap();
    assert_eq!((foo.f().unwrap(), foo.g().unwrap()), ("f()".into(), Err("g".into())));
    static HIDDEN: Known = Known::new("conformance::Foo", "_h", "fn() -> String", 0);
    let error = foo.proxy().call::<_, String>(&HIDDEN, &()).unwrap_err();
    let CallError::NoSuchMethod { method, found } = &error else { panic!("{error}") };
    assert_eq!((method.as_str(), found.as_str()), ("Foo::_h", "`Foo::f`, `Foo::g`"));
    let bar = BarProxy::new(&manager).unwrap();
    assert_eq!((bar.f().unwrap(), bar._h().unwrap()), ("f()".into(), "_h()".into()));
    static NOT: Known = Known::new("conformance::Bar", "g", "fn() -> ()", 0);
    assert!(matches!(bar.proxy().call::<_, ()>(&NOT, &()), Err(CallError::NoSuchMethod { .. })));
    // Another type's methods are none of this one's.
    assert!(matches!(
        FooProxy::from_proxy(bar.proxy().clone()).f(),
        Err(CallError::NoSuchMethod { .. })
    ));
}

struct Fails;

#[manager(crate = shmkit_manager)]
impl Fails {
    pub fn new() -> Self {
        Self
    }

    pub fn says(&self, _held: List<i64>) -> Result<(), String> {
        Err("no".into())
    }

    pub fn panics(&self, _held: List<i64>) {
        panic!("oh");
    }
}

#[test]
fn mgr_15_what_a_call_that_failed_had_in_its_hands_is_not_kept() {
    let manager = Manager::start().unwrap();
    let fails = FailsProxy::new(&manager).unwrap();
    let before = manager.objects().unwrap();
    let held = manager.list::<i64>([1]).unwrap();
    assert_eq!(fails.says(held.clone()).unwrap(), Err("no".into()));
    assert!(matches!(fails.panics(held.clone()), Err(CallError::Panicked { .. })));
    assert_eq!(manager.objects().unwrap(), before + 1);
    drop(held);
    let until = std::time::Instant::now() + LONG;
    while manager.objects().unwrap() > before {
        assert!(std::time::Instant::now() < until, "something refers to it still");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn mgr_12_a_scope_ends_the_manager_in_good_order() {
    let (pid, address) = {
        let manager = Manager::start().unwrap();
        (manager.pid().unwrap(), manager.address().clone())
    };
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(Manager::connect(&address, None).unwrap_err().is_gone());
    assert_eq!(Manager::start().unwrap().shutdown(), Some(Status::Exited(0)));
}

#[task(crate = shmkit_process)]
fn put_seven(address: std::net::SocketAddr, key: Vec<u8>) -> Result<(), Failure> {
    let manager = Manager::connect(address, Key::new(key))?;
    let queue: Queue<Any> = manager.find("queue")?.ok_or_else(|| Failure::new("no queue"))?;
    for value in seven() {
        queue.put(value)?;
    }
    Ok(())
}

fn seven() -> [Any; 7] {
    [
        "hello world".into(),
        Any::Null,
        true.into(),
        2.25.into(),
        "hällö wörld".into(),
        vec![Any::from(1), "two".into()].into(),
        Any::Map(vec![("a".into(), b"b".as_slice().into())]),
    ]
}

#[test]
fn mgr_13_another_process_connects_by_address_and_key_and_puts_seven_values() {
    let key = Key::random().unwrap();
    let manager = Manager::builder().address(local()).key(key.clone()).start().unwrap();
    let queue = manager.queue::<Any>(7).unwrap();
    manager.publish("queue", &queue).unwrap();
    let &Address::Tcp(address) = manager.address() else { panic!("it was asked for") };
    Process::spawn(put_seven, (address, key.bytes().to_vec())).unwrap().join().unwrap().unwrap();
    for value in seven() {
        assert_eq!(queue.get_timeout(LONG).unwrap(), value);
    }
    assert_eq!(manager.names().unwrap(), ["queue"]);
    assert!(manager.withdraw("queue").unwrap() && !manager.withdraw("queue").unwrap());
    assert!(manager.find::<Queue<Any>>("queue").unwrap().is_none());
    for key in [None, Some(Key::new("wrong"))] {
        let error = Manager::connect(address, key).unwrap_err();
        assert!(!error.is_gone(), "it is there, and lets nobody in: {error}");
    }
}

#[test]
fn mgr_14_a_manager_starts_anew_at_the_same_address_and_what_was_is_gone() {
    let key = Key::new("k");
    let manager = Manager::builder().address(local()).key(key.clone()).start().unwrap();
    let address = manager.address().clone();
    let before = manager.counter(7).unwrap();
    assert_eq!(manager.shutdown(), Some(Status::Exited(0)));
    let manager = Manager::builder().address(&address).key(key).start().unwrap();
    assert_eq!(manager.address(), &address);
    let now = manager.counter(1).unwrap();
    assert_eq!(now.add(1).unwrap(), 2);
    let error = before.get().unwrap_err();
    assert!(error.is_gone(), "another manager is there: {error}");
}

static STATE: OnceLock<String> = OnceLock::new();

#[task(crate = shmkit_process)]
fn prepare(text: String) -> Result<(), Failure> {
    match text.as_str() {
        "bad" => Err(Failure::new("a bad initializer")),
        "worse" => panic!("a worse one"),
        _ => STATE.set(text).map_err(|_| Failure::new("it was run before")),
    }
}

struct Prepared;

#[manager(crate = shmkit_manager)]
impl Prepared {
    pub fn new() -> Self {
        Self
    }

    pub fn state(&self) -> Option<String> {
        STATE.get().cloned()
    }
}

#[test]
fn mgr_18_an_initializer_runs_first_and_a_bad_one_is_told() {
    let start = |text: &str| Builder::new().initializer(prepare, (text.to_owned(),)).start();
    let manager = start("done").unwrap();
    assert_eq!(PreparedProxy::new(&manager).unwrap().state().unwrap().as_deref(), Some("done"));
    assert_eq!(STATE.get(), None, "in that process only");
    for (text, says) in [("bad", "a bad initializer"), ("worse", "a worse one")] {
        let error = start(text).unwrap_err();
        assert!(matches!(&error, StartError::Failed(why) if why.contains(says)), "{error:?}");
    }
}
