#!/usr/bin/env bash
# Draw a picture with nothing but curl: submit a job, wait until it is finished, save the file.
#
#   bash examples/draw.sh "a red circle on a blue background" circle.png
#
# SDCPP_REST_URL: the server (http://127.0.0.1:8080); SDCPP_REST_API_KEY: a key, where it asks for one; STEPS: sampling steps.
set -euo pipefail

prompt=${1:?the prompt is missing: bash draw.sh PROMPT [FILE]}
file=${2:-picture.png}
url=${SDCPP_REST_URL:-http://127.0.0.1:8080}

call() { # call PATH [CURL OPTION...]: the answer; when the server refuses, its sentence is an error
  local path=$1 answer
  shift
  answer=$(
    curl --silent --show-error --fail-with-body \
      ${SDCPP_REST_API_KEY:+--header "Authorization: Bearer $SDCPP_REST_API_KEY"} "$@" "$url$path"
  ) || {
    echo "error: $answer" >&2
    return 1
  }
  printf '%s' "$answer"
}

field() { # field NAME ANSWER: the first text of that name in a JSON answer, such as an id; it holds no quotes
  [[ $2 =~ \"$1\":\"([^\"]*)\" ]] && echo "${BASH_REMATCH[1]}"
}

# A text in JSON: backslashes and quotes are escaped, line breaks become spaces.
prompt=${prompt//\\/\\\\}
prompt=${prompt//\"/\\\"}
prompt=${prompt//$'\n'/ }
answer=$(call /txt2img --data "{\"prompt\": \"$prompt\"${STEPS:+, \"steps\": $STEPS}}")
job=$(field job_id "$answer")
echo "job $job"

while true; do
  answer=$(call "/queue/$job")
  status=$(field status "$answer")
  case $status in
    completed) break ;;
    failed | cancelled)
      echo "error: the job was not completed: $answer" >&2
      exit 1
      ;;
  esac
  sleep 0.5
done

call "/output/$job/image_0.png" --output "$file" || {
  rm -f "$file" # what was written there is the refusal
  exit 1
}
echo "saved $file"
