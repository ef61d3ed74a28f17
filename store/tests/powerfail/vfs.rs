//! SQLite's side of the recording layer: a VFS over the one of the operating system, and SQLite's default from the first
//! use on. Files outside of any layer's folder go through it untouched.
//!
//! What SQLite asks of a file is told to the layer, which may refuse it, and then done by the VFS below. Only syncs are not:
//! nothing here waits for a disk.
#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Arc, Mutex, Once, Weak};

use rusqlite::ffi::*;

use super::layer::{FileId, Layer};

/// The layers there are.
static LAYERS: Mutex<Vec<Weak<Layer>>> = Mutex::new(Vec::new());
static REGISTER: Once = Once::new();

/// From now on SQLite's files in the layer's folder are recorded.
pub(crate) fn record(layer: &Arc<Layer>) {
    REGISTER.call_once(register);
    let mut layers = LAYERS.lock().unwrap();
    layers.retain(|layer| layer.strong_count() > 0);
    layers.push(Arc::downgrade(layer));
}

/// The layer whose folder a file is in.
fn layer_of(path: &Path) -> Option<Arc<Layer>> {
    let layers = LAYERS.lock().unwrap();
    layers.iter().filter_map(Weak::upgrade).find(|layer| path.starts_with(layer.root()))
}

/// A file as SQLite keeps it: it allocates `szOsFile` octets, of which the VFS below has those behind this.
#[repr(C)]
struct File {
    base: sqlite3_file,
    open: *mut Open,
}

struct Open {
    layer: Arc<Layer>,
    id: FileId,
    path: PathBuf,
    /// The folder is synced with the file's first sync, as the VFS below does it for a new log or journal.
    syncs_folder: bool,
}

fn register() {
    // SAFETY: The VFS that is found lives as long as the process, and so does ours, which is leaked. Only names that are
    // set to functions of the right type are changed in the copy.
    unsafe {
        let below = sqlite3_vfs_find(ptr::null());
        assert!(!below.is_null(), "SQLite has a VFS");
        let mut vfs = *below;
        vfs.szOsFile += size_of::<File>() as c_int;
        vfs.zName = c"recording".as_ptr();
        vfs.pNext = ptr::null_mut();
        vfs.pAppData = below.cast();
        vfs.xOpen = Some(open);
        vfs.xDelete = Some(delete);
        // The others take no file, and look at nothing but the name and the data of the VFS below.
        vfs.xAccess = Some(access);
        vfs.xFullPathname = Some(full_pathname);
        vfs.xRandomness = Some(randomness);
        vfs.xSleep = Some(sleep);
        vfs.iVersion = 1;
        assert_eq!(sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 1), SQLITE_OK);
    }
}

/// The VFS below ours.
unsafe fn below<'a>(vfs: *mut sqlite3_vfs) -> &'a mut sqlite3_vfs {
    // SAFETY: `register` put it there.
    unsafe { &mut *(*vfs).pAppData.cast() }
}

/// The file of the VFS below.
unsafe fn real(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: `szOsFile` made room for both.
    unsafe { file.cast::<File>().add(1).cast() }
}

unsafe fn opened<'a>(file: *mut sqlite3_file) -> &'a mut Open {
    // SAFETY: Only files with our methods come here, and `open` set it for those.
    unsafe { &mut *(*file.cast::<File>()).open }
}

/// Calls a method of the file below.
macro_rules! on_real {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        // SAFETY: `open` opened the file below, whose methods are all there.
        unsafe {
            let real = real($file);
            ((*(*real).pMethods).$method.expect("SQLite's own VFS has them all"))(real $(, $argument)*)
        }
    }};
}

/// Calls a method of the VFS below.
macro_rules! on_below {
    ($vfs:expr, $method:ident $(, $argument:expr)*) => {{
        // SAFETY: The arguments are SQLite's.
        unsafe {
            let below = below($vfs);
            (below.$method.expect("SQLite's own VFS has them all"))(below $(, $argument)*)
        }
    }};
}

/// SQLite's code for an error of the layer.
fn code(error: &io::Error, otherwise: c_int) -> c_int {
    if error.kind() == io::ErrorKind::StorageFull { SQLITE_FULL } else { otherwise }
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: A name is a path that ends with a zero, or nothing for a file without one.
    let path = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) });
    let path = path.map(|path| Path::new(OsStr::from_bytes(path.to_bytes())));
    let Some((layer, path)) = path.and_then(|path| Some((layer_of(path)?, path))) else {
        // Its methods are those of the VFS below, and it never comes here again.
        return on_below!(vfs, xOpen, name, file, flags, out);
    };
    // SAFETY: SQLite gave us room for both files.
    let real = unsafe {
        (*file).pMethods = ptr::null();
        real(file)
    };
    if flags & SQLITE_OPEN_CREATE == 0 && !path.exists() {
        return SQLITE_CANTOPEN;
    }
    let Ok(id) = layer.named(path) else { return SQLITE_CANTOPEN };
    let result = on_below!(vfs, xOpen, name, real, flags, out);
    if result != SQLITE_OK {
        layer.removed(path);
        return result;
    }
    let syncs_folder = flags & SQLITE_OPEN_CREATE != 0 && flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL) != 0;
    let open = Open { layer, id, path: path.to_path_buf(), syncs_folder };
    // SAFETY: As above.
    unsafe {
        (*file.cast::<File>()).open = Box::into_raw(Box::new(open));
        (*file).pMethods = &raw const METHODS;
    }
    SQLITE_OK
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: It is a path that ends with a zero.
    let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()));
    let layer = layer_of(path);
    let result = on_below!(vfs, xDelete, name, if layer.is_some() { 0 } else { sync });
    let (SQLITE_OK, Some(layer)) = (result, layer) else { return result };
    layer.removed(path);
    match path.parent().filter(|_| sync != 0).map(|folder| layer.sync_of_folder(folder)) {
        Some(Err(_)) => SQLITE_IOERR_DIR_FSYNC,
        _ => SQLITE_OK,
    }
}

unsafe extern "C" fn access(vfs: *mut sqlite3_vfs, name: *const c_char, flags: c_int, out: *mut c_int) -> c_int {
    on_below!(vfs, xAccess, name, flags, out)
}

unsafe extern "C" fn full_pathname(vfs: *mut sqlite3_vfs, name: *const c_char, len: c_int, out: *mut c_char) -> c_int {
    on_below!(vfs, xFullPathname, name, len, out)
}

unsafe extern "C" fn randomness(vfs: *mut sqlite3_vfs, len: c_int, out: *mut c_char) -> c_int {
    on_below!(vfs, xRandomness, len, out)
}

unsafe extern "C" fn sleep(vfs: *mut sqlite3_vfs, microseconds: c_int) -> c_int {
    on_below!(vfs, xSleep, microseconds)
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: `open` made it, and SQLite closes a file once.
    drop(unsafe { Box::from_raw((*file.cast::<File>()).open) });
    on_real!(file, xClose)
}

unsafe extern "C" fn read(file: *mut sqlite3_file, into: *mut c_void, len: c_int, at: sqlite3_int64) -> c_int {
    on_real!(file, xRead, into, len, at)
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, len: c_int, at: sqlite3_int64) -> c_int {
    // SAFETY: SQLite says that so many octets are there.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), len as usize) };
    // SAFETY: The file has our methods.
    let open = unsafe { opened(file) };
    let real = |bytes: &[u8]| on_real!(file, xWrite, bytes.as_ptr().cast(), bytes.len() as c_int, at) == SQLITE_OK;
    match open.layer.write(open.id, bytes, at as u64, real) {
        Ok(()) => SQLITE_OK,
        Err(error) => code(&error, SQLITE_IOERR_WRITE),
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, len: sqlite3_int64) -> c_int {
    // SAFETY: The file has our methods.
    let open = unsafe { opened(file) };
    match open.layer.cut(open.id, len as u64, || on_real!(file, xTruncate, len) == SQLITE_OK) {
        Ok(()) => SQLITE_OK,
        Err(_) => SQLITE_IOERR_TRUNCATE,
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _: c_int) -> c_int {
    // SAFETY: The file has our methods.
    let open = unsafe { opened(file) };
    if open.layer.sync(open.id).is_err() {
        return SQLITE_IOERR_FSYNC;
    }
    if std::mem::take(&mut open.syncs_folder)
        && let Some(folder) = open.path.parent()
    {
        // The VFS below does not look whether that succeeds.
        _ = open.layer.sync_of_folder(folder);
    }
    SQLITE_OK
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, out: *mut sqlite3_int64) -> c_int {
    on_real!(file, xFileSize, out)
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    on_real!(file, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    on_real!(file, xUnlock, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    on_real!(file, xCheckReservedLock, out)
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, op: c_int, argument: *mut c_void) -> c_int {
    on_real!(file, xFileControl, op, argument)
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    on_real!(file, xSectorSize)
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    on_real!(file, xDeviceCharacteristics)
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    len: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    on_real!(file, xShmMap, region, len, extend, out)
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    on_real!(file, xShmLock, offset, count, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    on_real!(file, xShmBarrier);
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    on_real!(file, xShmUnmap, delete)
}
