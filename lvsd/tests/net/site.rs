//! Scripts of a site, run as they stand: `/usr/sbin/ipvsadm` is lvsadm.
//!
//! The file at `/usr/sbin/ipvsadm` is never touched: lvsadm is mounted over it where only the script sees it.

use std::fs;
use std::path::Path;

use super::process::Finished;
use super::{LVSADM, Net};

/// Runs a script on a host as its administrator would, in a mount namespace in which ipvsadm is lvsadm and what is
/// written to /etc is lost afterwards.
pub fn run_script(net: &Net, host: &str, script: &Path) -> Finished {
    assert!(
        fs::exists("/usr/sbin/ipvsadm").unwrap(),
        "install the package ipvsadm: lvsadm is mounted over it"
    );
    let scratch = net.files.join("etc");
    fs::create_dir_all(&scratch).unwrap();
    let stage = "set -e; mount --make-rprivate /; mount --bind \"$1\" /usr/sbin/ipvsadm\n\
                 mount -t tmpfs none \"$2\"; mkdir \"$2/new\" \"$2/work\"\n\
                 mount -t overlay overlay -o \"lowerdir=/etc,upperdir=$2/new,workdir=$2/work\" /etc\n\
                 mkdir -p /etc/sysconfig; set +e; export PATH=/usr/sbin:/usr/bin:/sbin:/bin; exec bash \"$3\"";
    let (scratch, script) = (scratch.display().to_string(), script.display().to_string());
    net.run(host, &["unshare", "-m", "bash", "-c", stage, "bash", LVSADM, &scratch, &script])
}
