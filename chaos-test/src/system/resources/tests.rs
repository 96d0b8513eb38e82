//! Texts of `/proc`, and looks at this machine.

use super::*;
use crate::model::units::ms;

#[test]
fn the_files_of_proc_are_read() {
    let stat = "cpu  100 20 30 9999 888 4 5 6 70 0\ncpu0 1 2\ncpu1 1 2\nintr 7\n";
    assert_eq!(busy(stat), 1.65);
    assert_eq!(cores_of(stat), Some(2));
    let disk = " 254 0 vda 1 0 800 0 2 0 160 0 0 0 0\n 254 1 vda1 1 0 800 0 2 0 160 0 0 0 0\n\
                7 0 loop0 1 0 99 0 2 0 99 0 0 0 0\n";
    assert_eq!(disks(disk, 5, |name| name == "vda"), 800.0);
    assert_eq!(disks(disk, 9, |name| name == "vda"), 160.0);
    let net = "Inter-|   Receive      |  Transmit\n face |bytes packets\n    \
               lo: 5 1 0 0 0 0 0 0 6 1\n  eth0:100 1 0 0 0 0 0 0 200 1\n eth1: 1 1 0 0 0 0 0 0 2 1\n";
    assert_eq!((interfaces(net, 0), interfaces(net, 8)), (101.0, 202.0));
    let pressure = "some avg10=0.00 avg60=0.00 avg300=0.00 total=1234\nfull avg10=0 total=7\n";
    assert_eq!(stalled(pressure), Some(1234.0));
    assert_eq!(stalled(""), None);
    let stat = "42 (a) b (c)) S 7 42 41 0 -1 4194560 1 2 3 4 11 12 13 14 20 0 5 0 987654 1 2";
    let fields = [11, 12, 13, 14, 17].map(|at| stat_field(stat, at));
    assert_eq!(fields, [11.0, 12.0, 13.0, 14.0, 5.0]);
    assert_eq!(field("a: 1\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12.0));
}

#[tokio::test]
async fn what_we_use_ourselves_is_seen() {
    let level = async |what| match of_own_process(what).await {
        Ok(Found::Level(level)) => level,
        other => panic!("{other:?}"),
    };
    let used = async || match of_own_process(Resource::Cpu).await {
        Ok(Found::Total(total)) => total,
        other => panic!("{other:?}"),
    };
    let (memory, files) = (
        level(Resource::Memory).await,
        level(Resource::OpenFiles).await,
    );
    let held = vec![1_u8; 64 << 20];
    let open: Vec<_> = (0..50)
        .map(|_| fs::File::open("/dev/null").unwrap())
        .collect();
    // Other tests of this process may give some back meanwhile.
    assert!(level(Resource::Memory).await > memory + f64::from(32 << 20));
    assert!(level(Resource::OpenFiles).await > files + 25.0);
    assert!(level(Resource::Threads).await >= 1.0);
    drop((held, open));
    let before = used().await;
    let until = Instant::now() + ms(50);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    let after = used().await;
    let grown = after.amount - before.amount;
    // Where others have the cores, it is less than the time that passed.
    assert!(grown > 0.002 && after.own.len() == 1, "{grown}");
}

#[test]
fn what_has_ended_since_it_was_listed_does_not_use_nothing() {
    const ALL: [Resource; 6] = [
        Resource::Cpu,
        Resource::Memory,
        Resource::Threads,
        Resource::DiskRead,
        Resource::DiskWritten,
        Resource::OpenFiles,
    ];
    let mut child = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    let pid = child.id();
    let look = |pids: &[u32], what| of_processes(String::new(), pids, what, true);
    for what in ALL {
        assert!(look(&[pid], what).is_ok(), "{what:?}");
    }
    child.kill().unwrap();
    // Until it is a zombie, which it stays until it is waited for.
    while !has_ended(&read(&format!("/proc/{pid}/stat")).unwrap()) {
        std::thread::yield_now();
    }
    for what in ALL {
        let found = look(&[pid], what);
        assert!(found.is_err(), "{what:?}: {found:?}");
    }
    let both = look(&[pid, std::process::id()], Resource::Memory);
    assert!(matches!(both, Ok(Found::Level(memory)) if memory > 0.0));
    child.wait().unwrap();
    for what in ALL {
        let found = look(&[pid], what).unwrap_err();
        assert_eq!(found, "it is not running", "{what:?}");
    }
}

#[tokio::test]
async fn the_machine_is_seen() {
    for what in [
        Resource::Cpu,
        Resource::CpuShare,
        Resource::DiskRead,
        Resource::DiskWritten,
    ] {
        assert!(
            matches!(of_machine(what).await, Ok(Found::Total(_))),
            "{what:?}"
        );
    }
    let level = async |what| match of_machine(what).await {
        Ok(Found::Level(level)) => level,
        other => panic!("{other:?}"),
    };
    let share = level(Resource::MemoryShare).await;
    assert!(share > 0.0 && share < 1.0, "{share}");
    assert!(level(Resource::Memory).await > f64::from(1 << 20));
    assert!(level(Resource::OpenFiles).await > 1.0);
    assert!(level(Resource::Threads).await > 1.0);
    for waited in [Waited::Cpu, Waited::Memory, Waited::Io] {
        let what = Resource::Pressure(waited);
        let found = of_machine(what).await;
        assert_eq!(
            found.is_err(),
            why_never_machine(what).is_some(),
            "{found:?}"
        );
    }
}
