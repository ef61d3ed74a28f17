//! Writes the seeds of each target, its dictionary, and the length of its inputs into a folder: `seeds FOLDER`.

use std::path::Path;

use pillarbox_fuzz::{TARGETS, pieces, seeds};

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).ok_or_else(|| std::io::Error::other("usage: seeds FOLDER"))?;
    let folder = Path::new(&folder);
    for (target, inputs) in seeds::all() {
        let folder = folder.join("seeds").join(target);
        std::fs::create_dir_all(&folder)?;
        for input in inputs {
            std::fs::write(folder.join(format!("{:016x}", pieces::hash(&input))), input)?;
        }
    }
    let (dictionaries, lengths) = (folder.join("words"), folder.join("longest"));
    std::fs::create_dir_all(&dictionaries)?;
    std::fs::create_dir_all(&lengths)?;
    for target in TARGETS {
        std::fs::write(lengths.join(target.name), target.longest.to_string())?;
        let escape = |word: &&str| word.bytes().map(|octet| format!("\\x{octet:02x}")).collect::<String>();
        let lines: Vec<_> = (target.words)().iter().map(|word| format!("\"{}\"\n", escape(word))).collect();
        std::fs::write(dictionaries.join(target.name), lines.concat())?;
    }
    Ok(())
}
