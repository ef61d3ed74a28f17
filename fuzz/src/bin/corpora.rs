//! Moves inputs between the committed corpora, which people read, and folders of files, which libFuzzer reads. `fuzz/run`
//! calls it.
//!
//! ```text
//! corpora unpack FOLDER           corpus/TARGET/…, seeds/TARGET/…, words/TARGET and longest/TARGET into the folder
//! corpora pack TARGET FOLDER      the files of the folder become the corpus; inputs that have a reason stay
//! corpora add TARGET FILE WHY…    this input is to stay
//! ```

use std::fs;
use std::path::Path;

use pillarbox_fuzz::{TARGETS, Target, corpus, named, pieces, seeds};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match &arguments[..] {
        ["unpack", folder] => unpack(Path::new(folder)),
        ["pack", target, folder] => pack(target, Path::new(folder)),
        ["add", target, file, why @ ..] if !why.is_empty() => add(target, Path::new(file), &why.join(" ")),
        _ => Err("corpora unpack FOLDER | pack TARGET FOLDER | add TARGET FILE WHY…".into()),
    }
}

fn unpack(folder: &Path) -> Outcome {
    let seeds = seeds::all();
    for target in TARGETS {
        let committed = corpus::read(target)?.into_iter().map(|input| input.octets);
        lay_out(&folder.join("corpus").join(target.name), committed)?;
        lay_out(&folder.join("seeds").join(target.name), seeds.get(target.name).into_iter().flatten().cloned())?;
        let (words, longest) = (folder.join("words"), folder.join("longest"));
        fs::create_dir_all(&words)?;
        fs::create_dir_all(&longest)?;
        fs::write(longest.join(target.name), target.longest.to_string())?;
        let escape = |word: &&str| word.bytes().map(|octet| format!("\\x{octet:02x}")).collect::<String>();
        let lines: Vec<_> = (target.words)().iter().map(|word| format!("\"{}\"\n", escape(word))).collect();
        fs::write(words.join(target.name), lines.concat())?;
    }
    Ok(())
}

/// A file for each input, and no other files.
fn lay_out(folder: &Path, inputs: impl Iterator<Item = Vec<u8>>) -> Outcome {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    for input in inputs {
        fs::write(folder.join(format!("{:016x}", pieces::hash(&input))), input)?;
    }
    Ok(())
}

fn pack(name: &str, folder: &Path) -> Outcome {
    let target = target(name)?;
    let found = fs::read_dir(folder)?.map(|entry| fs::read(entry?.path())).collect::<Result<Vec<_>, _>>()?;
    let of = found.len();
    println!("{name}: {} of {of} inputs", corpus::replace(&target, found)?);
    Ok(())
}

fn add(name: &str, file: &Path, why: &str) -> Outcome {
    println!("{name}: {} inputs", corpus::add(&target(name)?, why, fs::read(file)?)?);
    Ok(())
}

fn target(name: &str) -> Result<Target, String> {
    named(name).ok_or_else(|| format!("there is no target {name}"))
}
