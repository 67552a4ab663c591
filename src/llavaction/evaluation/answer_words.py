"""The words around an option in an answer, in the languages that models answer in."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple


class Words(NamedTuple):
    """Alternatives of a regular expression each; empty where a language needs none.

    Attributes:
        answer: what the letter is said to be ("answer", "Lösung").
        link: what connects the two ("is", "lautet").
        filler: what may stand between ("the", "option", "probably").
        choose: verbs of choice in front of the letter ("I choose", "ich wähle").
        chosen: verbs of choice behind it ("würde B wählen", "Bを選ぶ").
        option: what an option is called.
        correct: what a chosen option is said to be.
        it_is: how a sentence begins that ends with the answer ("it is B", "c'est B").
        denied: words in front of an option that deny it, or behind it ("not B", "B is wrong").
        denied_behind: those that only deny what is in front of them ("B değil").
        but: what stands between a denied option and the one chosen instead ("not A but B").
        joined: what joins options of which each may be meant ("A or B").
        also: by which another option shares what is said of the first ("D too").
        doubted: by which an option is only possible ("maybe B").
        condition: by which an option depends on something ("B, if ...").
        mentioned: by which an option is only spoken about ("consider B", "e.g. B").
        mentioned_behind: the same behind the option.
        yes: a verdict on an option, "B: yes".
        no_link: whether an option is called correct without a word between.
    """

    answer: str = ""
    link: str = ""
    filler: str = ""
    choose: str = ""
    option: str = ""
    correct: str = ""
    denied: str = ""
    denied_behind: str = ""
    but: str = ""
    joined: str = ""
    also: str = ""
    doubted: str = ""
    condition: str = ""
    mentioned: str = ""
    mentioned_behind: str = ""
    it_is: str = ""
    chosen: str = ""
    yes: str = ""
    no_link: bool = False


SPACED: dict[str, Words] = {
    "English": Words(
        r"answer|ans|choice|pick|guess|selection|(?:correct|right|best|matching|likeliest) one|best\s+(?:match|fit)|"
        r"(?:option|alternative|letter)(?=\s+(?:is|was)\b|\W*[:=])",
        r"is|was|would\s+be|must\s+be|should\s+be|has\s+to\s+be|will\s+be|remains|seems\s+to\s+be|appears\s+to\s+be",
        r"the|my|likely|most\s+likely|probably|clearly|definitely|therefore|thus|indeed|simply|correct|right|best",
        r"choose|chose|select(?:ed)?|pick(?:ed)?|opt\s+for|(?:go|going|went)\s+(?:with|for)|vote(?:\s+for)?|settle\s+on|prefer|only",
        r"option|letter|choice|answer|alternative",
        r"correct|right|true|accurate|best|better|answer|one|"
        r"most\s+(?:plausible|likely|probable|accurate|appropriate|suitable|fitting)|(?:more|likelier)\s+likely\s+than",
        r"not|no|neither|nor|none|cannot|wrong|incorrect|false|unsure|never|nobody|no\s+one|few|hard\s+to\s+believe|avoid|ignore|skip|hardly|unlikely|except|"
        r"rul(?:e|ed|ing)\s+out|eliminat\w*|exclud\w*|discard\w*|reject\w*|anything\s+but|other\s+than|instead\s+of|"
        r"rather\s+than|\w+n['’]t",
        but=r"but(?:\s+rather)?|rather",
        joined=r"or|and|and/or|or\s+maybe|alternatively|versus|vs\.?|nor|as\s+well\s+as",
        also=r"also|too|as\s+well|likewise",
        doubted=r"maybe|perhaps|possibly|might(?:\s+be)?|may\s+be|could(?:\s+also)?\s+be|uncertain|unclear|either|depends|"
        r"hard\s+to\s+(?:say|tell)|(?:not|n['’]t)\s+(?:[\w%]+\s+)?(?:sure|certain)|unsure|or\s+not",
        condition=r"until|had(?=\s+(?:the|it|there)\b)|if|unless|provided|assuming|suppos(?:e|ing)|in\s+case",
        mentioned=r"consider(?:ing)?|analy[sz](?:e|ing)|look(?:ing)?\s+at|examin(?:e|ing)|evaluat(?:e|ing)|compar(?:e|ing)|"
        r"check(?:ing)?|discuss(?:ing)?|start\s+with|e\.\s?g\.|for\s+(?:example|instance)|such\s+as|letter,?\s+like|between|options\s+are|"
        r"(?:sample|example|format)(?:\s+answer)?(?=\s*:)|next|regarding|concerning|as\s+for|see(?=\s+option)|asked\s+to|"
        r"(?:some(?:one|body)?|one|you|people)\s+(?:would|might|may|could)",
        mentioned_behind=r"mentions|says|states|reads|refers",
        it_is=r"it\s+is|it['’]s|it\s+(?:must|would|should)\s+be|that\s+is|that['’]s|(?:looks|seems)\s+(?:like|to\s+be)|"
        r"i\s+think|i(?:['’]d|\s+would)?\s+say|probably|(?:most\s+)?likely|definitely|clearly|surely|therefore|so|thus|"
        r"hence|final|points\s+to|let['’]s\s+say|by\s+elimination|hmm+|lean(?:ing)?(?:\s+towards?)?|suggests|indicates",
        yes=r"yes|true|correct|right|match(?:es)?",
    ),
    "German": Words(
        r"antwort|lösung|antwortmöglichkeit|richtig(?=\s+ist\b)|option(?=\s+(?:ist|lautet)\b)",
        r"ist|wäre|lautet|muss|heißt",
        r"die|der|das|richtige|korrekte|wahrscheinlich|also|sein|buchstabe",
        r"wähle|nehme|entscheide\s+(?:ich\s+)?mich\s+für|tippe\s+auf|nur",
        r"antwort|buchstabe|möglichkeit|auswahl",
        r"richtig|richtige|korrekt|korrekte|(?:passt\s+)?am\s+(?:besten|wahrscheinlichsten)",
        r"nicht|nein|kein\w*|weder|falsch\w*|unsicher|statt|anstatt|scheidet|ausgeschlossen",
        but=r"sondern",
        joined=r"oder|und|noch|beziehungsweise|bzw\.?",
        also=r"auch|ebenso",
        doubted=r"vielleicht|möglicherweise|könnte(?:\s+auch)?|entweder|eventuell",
        condition=r"falls|wenn|sofern",
        mentioned=r"z\.\s?B\.|schauen\s+wir(?:\s+uns)?|betrachte\w*|analysier\w*|prüfe\w*|untersuche\w*|vergleiche\w*|zum\s+beispiel|zwischen",
        it_is=r"es\s+ist|ich\s+würde\s+sagen|das\s+ist|somit|daher|also",
        chosen=r"wählen|nehmen",
        yes=r"ja|wahr|richtig|korrekt",
    ),
    "French": Words(
        r"réponse|reponse|solution",
        r"est|serait|c['’]est",
        r"la|le|l['’]|correcte|bonne|exacte|donc|probablement",
        r"choisis|choisirais|sélectionne|seule?",
        r"lettre|choix|réponse|proposition",
        r"correcte?|bonne|exacte?|juste|réponse|plus\s+(?:probable|plausible)",
        r"pas|ne|non|aucune?|ni|faux|fausse?|incorrecte?|sauf|plutôt\s+que|au\s+lieu\s+de",
        but=r"mais(?:\s+plutôt)?",
        joined=r"ou(?:\s+bien)?|et",
        also=r"aussi|non\s+plus",
        doubted=r"peut-être|pourrait(?:\s+être)?|soit",
        condition=r"si|sauf\s+si",
        mentioned=r"analysons|considérons|examinons|regardons|comparons|par\s+exemple|entre",
        it_is=r"c['’]est|il\s+s['’]agit\s+de|je\s+dirais|je\s+pense\s+que\s+c['’]est|donc|est",
        yes=r"oui|vrai|correcte?|exact",
    ),
    "Spanish": Words(
        r"respuesta|solución|opción(?=\s+(?:correcta\s+)?es\b)",
        r"es|sería|son",
        r"la|el|correcta|final|probablemente",
        r"elijo|escojo|selecciono|elegiría|sol[oa]|sólo",
        r"opción|opcion|letra|alternativa",
        r"correcta?|respuesta|más\s+(?:probable|adecuada)",
        r"no|ninguna?|ni|incorrect[ao]|fals[ao]|excepto|descart\w+|en\s+(?:lugar|vez)\s+de",
        but=r"sino",
        joined=r"(?-i:[ouye])|o\s+bien",
        also=r"también|tampoco",
        doubted=r"quizás?|tal\s+vez|podría(?:\s+ser)?|puede\s+que",
        condition=r"si|siempre\s+que",
        mentioned=r"analicemos|consideremos|veamos|examinemos|comparemos|por\s+ejemplo|entre",
        it_is=r"es|se\s+trata\s+de|diría|creo\s+que\s+es|por\s+(?:lo\s+)?tanto",
        yes=r"s[ií]|verdadero|correct[ao]",
    ),
    "Italian": Words(
        r"risposta|soluzione|opzione(?=\s+(?:corretta\s+)?è)",
        r"è|sarebbe|e['’]",
        r"la|il|l['’]|corretta|giusta|esatta|finale|probabilmente",
        r"scelgo|seleziono|sceglierei|solo",
        r"opzione|lettera|alternativa|scelta",
        r"corretta|giusta|esatta|risposta|più\s+(?:probabile|adatta)",
        r"non|nessuna?|né|sbagliat[ao]|errat[ao]|fals[ao]|tranne|esclud\w+|invece\s+di|piuttosto\s+che",
        but=r"ma|bensì",
        joined=r"(?-i:[oe])|oppure|ed",
        also=r"anche|neanche|nemmeno",
        doubted=r"forse|potrebbe(?:\s+essere)?|magari",
        condition=r"se(?!\s+trata)|purché",
        mentioned=r"analizziamo|consideriamo|vediamo|esaminiamo|confrontiamo|per\s+esempio|ad\s+esempio|tra|fra",
        it_is=r"è|direi|quindi|dunque",
        yes=r"s[iì]|vero|corrett[ao]",
    ),
    "Portuguese": Words(
        r"resposta|solução|(?:opção|alternativa)(?=\s+(?:correta\s+)?é)",
        r"é|seria",
        r"(?-i:a)|o|correta|certa|final|provavelmente",
        r"escolho|seleciono|escolheria|apenas|só|somente",
        r"opção|letra|alternativa",
        r"correta|certa|resposta|mais\s+(?:provável|adequada)",
        r"não|nenhuma?|nem|errad[ao]|incorret[ao]|exceto|descart\w+|em\s+vez\s+de",
        but=r"mas(?:\s+sim)?|e\s+sim",
        joined=r"ou|(?-i:e)",
        also=r"também",
        doubted=r"talvez|poderia(?:\s+ser)?|pode\s+ser",
        condition=r"se(?!\s+trata)|caso",
        mentioned=r"analisar|analisemos|consideremos|considerar|vejamos|comparemos|por\s+exemplo|entre",
        it_is=r"é|diria|portanto|então",
        yes=r"sim|verdadeir[ao]|corret[ao]|cert[ao]",
    ),
    "Dutch": Words(
        r"antwoord|oplossing",
        r"is",
        r"het|de|juiste|dus",
        r"kies|alleen",
        r"optie|antwoord",
        r"juist\w*|correct\w*",
        r"niet|geen|fout|onjuist|verkeerd",
        but=r"maar",
        joined=r"of|en",
        also=r"ook",
        doubted=r"misschien|zou\s+kunnen|mogelijk",
        condition=r"als|indien|tenzij",
        mentioned=r"bekijk\w*|bijvoorbeeld|tussen",
        it_is=r"het\s+is|dus",
        chosen=r"kiezen|nemen",
        yes=r"juist|waar",
    ),
    "Scandinavian": Words(
        r"svar|svaret",
        r"är|er",
        r"det|rätta|rette|riktige|korrekta",
        r"väljer|vælger|velger|bara|kun|bare",
        r"alternativ|svar",
        r"rätt|riktig\w*|korrekt",
        r"inte|ikke|ingen|fel|forkert|feil",
        but=r"utan|men",
        joined=r"eller|och|og",
        also=r"också|også",
        doubted=r"kanske|måske|kanskje",
        condition=r"om|hvis",
        mentioned=r"till\s+exempel|for\s+eksempel|mellan|mellem|mellom",
        it_is=r"det\s+(?:är|er)",
        yes=r"ja|sant|rätt|rigtigt",
    ),
    "Polish, Czech": Words(
        r"odpowiedź|odpowiedzią|odpověď|odpoved",
        r"to|jest|je",
        r"poprawna|prawidłowa|správná",
        r"wybieram|vybírám|tylko|pouze|jen",
        r"opcja|możnost|možnost|odpowiedź|odpověď",
        r"poprawna|prawidłowa|správná|správně",
        r"nie|není|ani|błędn\w*|niepoprawn\w*|špatn\w*|oprócz",
        but=r"lecz|ale|ale\s+je\s+to|nýbrž",
        joined=r"lub|albo|czy|oraz|nebo|anebo|či|(?-i:[ia])",
        also=r"też|także|również|také",
        doubted=r"może|możliwe|możná|snad",
        condition=r"jeśli|jeżeli|pokud|jestli|gdyby",
        mentioned=r"rozważmy|przeanalizujmy|na\s+przykład|například|między|mezi",
        it_is=r"to\s+jest|je\s+to",
        yes=r"tak|prawda|ano",
    ),
    "Russian, Ukrainian": Words(
        r"ответ|ответом|вариант(?=\s?[:—–-])|решение|відповідь",
        r"это|является|будет|є|це",
        r"правильный|верный|вариант|буква|правильна",
        r"выбираю|выбрал|обираю|выбрал[аи]?\s+бы|только",
        r"вариант|буква|ответ|варіант",
        r"верный|верно|верен|правильный|правильно|правильный\s+ответ|ответ",
        r"не|нет|ни|неверн\w*|невер[еён]+|неправильн\w*|ошибочн\w*|кроме|исключ\w+|ні",
        but=r"а|но",
        joined=r"или|либо|и|або|чи|та",
        also=r"тоже|также|теж|також",
        doubted=r"возможно|может(?:\s+быть)?|мог\s+бы|наверное|можливо",
        condition=r"если|якщо",
        mentioned=r"рассмотрим|проанализируем|сравним|розглянемо|например|наприклад|между|між",
        it_is=r"это|думаю|значит|скорее\s+всего|подходит|це",
        yes=r"да|верно|правильно|так",
    ),
    "Turkish": Words(
        r"cevap|yanıt|cevabı|en\s+uygun\s+seçenek",
        r"",
        r"doğru",
        r"seçiyorum|sadece|yalnızca",
        r"seçenek|şık|seçeneği|şıkkı",
        r"doğru(?:dur)?",
        r"yanlış\w*|hariç",
        r"değil\w*",
        but=r"aksine",
        joined=r"veya|ya\s+da|yahut|ve|ile",
        also=r"da|de",
        doubted=r"belki|olabilir|muhtemelen\s+değil",
        condition=r"eğer",
        mentioned=r"örneğin|mesela",
        mentioned_behind=r"arasında|inceleyelim",
        it_is=r"bence|bu",
        chosen=r"seçiyorum|seçerdim|seçerim|seçeneğini\s+seçiyorum",
        yes=r"evet|doğru", no_link=True,
    ),
    "Indonesian": Words(
        r"jawaban(?:nya)?|pilihan\s+yang(?:\s+paling)?\s+(?:tepat|benar)", r"adalah|ialah", r"yang|benar|tepat",
        r"(?:me)?pilih|hanya", r"opsi|pilihan", r"benar", r"bukan(?:lah)?|tidak|salah|kecuali",
        but=r"tetapi|melainkan|tapi", joined=r"atau|dan", also=r"juga", doubted=r"mungkin|barangkali",
        condition=r"jika|kalau|apabila", mentioned=r"misalnya|contohnya|antara|mari\s+(?:kita\s+)?(?:lihat|analisis)",
        it_is=r"itu|jadi", yes=r"ya|benar", no_link=True,
    ),
    "Vietnamese": Words(
        r"đáp\s+án|câu\s+trả\s+lời", r"là", r"đúng", r"chọn|chỉ(?:\s+có)?", r"lựa\s+chọn|phương\s+án",
        r"(?:đáp\s+án\s+)?đúng",
        r"không(?:\s+phải)?|sai|trừ", but=r"mà(?:\s+là)?", joined=r"hoặc|hay|và", also=r"cũng",
        doubted=r"có\s+thể|có\s+lẽ", condition=r"nếu", mentioned=r"ví\s+dụ|chẳng\s+hạn|giữa|xét|hãy\s+xem",
        it_is=r"là|đó\s+là|vậy", yes=r"có|đúng", no_link=True,
    ),
    "Arabic, Persian": Words(
        r"الإجابة|الاجابة|الجواب|پاسخ|جواب", r"هي|هو", r"الصحيحة?", r"أختار|فقط", r"الخيار|الحرف|گزینه",
        r"صحيح|(?:الإجابة\s+)?الصحيحة?",
        r"ليس\w*|لا|خطأ|خاطئ\w*|غير|باستثناء", r"نیست|نمی\w*|غلط", but=r"بل", joined=r"أو|او|و|أم|یا", also=r"أيضا",
        doubted=r"ربما|قد\s+(?:تكون|يكون)|شاید", condition=r"إذا|لو|اگر", mentioned=r"مثلا|على\s+سبيل\s+المثال|بين",
        it_is=r"إنها|إنه", yes=r"نعم|صحيح|بله", no_link=True,
    ),
    "Hindi": Words(
        r"उत्तर|जवाब", r"है", r"सही", r"केवल|सिर्फ", r"विकल्प", r"सही", r"गलत", r"नहीं",
        joined=r"या|और|अथवा", also=r"भी", doubted=r"शायद|संभवतः", condition=r"अगर|यदि", mentioned=r"उदाहरण",
        it_is=r"यह", yes=r"हाँ|सही", no_link=True,
    ),
    "Hebrew": Words(r"התשובה|תשובה", r"היא|הוא", denied=r"לא|אינה|שגויה", joined=r"או|ו", but=r"אלא", doubted=r"אולי"),
    "Greek": Words(r"απάντηση", r"είναι", r"η|το|σωστή", option=r"επιλογή", correct=r"σωστή|σωστό",
        denied=r"δεν|όχι|λάθος", joined=r"ή|και", but=r"αλλά", doubted=r"ίσως", condition=r"αν", yes=r"ναι"),
    "Romanian": Words(r"răspuns(?:ul)?", r"este|(?-i:e)", r"corect|varianta", option=r"varianta", correct=r"corect\w*",
        denied=r"nu|greșit\w*", joined=r"sau|ori|și", but=r"ci", doubted=r"poate", condition=r"dacă", yes=r"da"),
    "Hungarian": Words(r"válasz", r"(?-i:a)|az", r"helyes", denied=r"nem|sem|helytelen|hibás",
        joined=r"vagy|és", but=r"hanem",
        doubted=r"talán", condition=r"ha", yes=r"igen"),
    "Finnish": Words(r"vastaus", r"on", r"oikea", option=r"vaihtoehto", correct=r"oikein|oikea",
        denied=r"ei|väärin|väärä",
        joined=r"tai|ja", but=r"vaan", doubted=r"ehkä", condition=r"jos", yes=r"kyllä"),
}  # fmt: skip
"""Languages that put blanks between words."""

UNSPACED: dict[str, Words] = {
    "Chinese": Words(
        r"答案|正解|答",
        r"应该是|應該是|应为|應為|是|为|為|应选|應選",
        r"正确|正確|的|选择|選擇|选项|選項|选|選|项|項|应该|應該|最终|最終|最佳|本题|都|也",
        r"选择|選擇|选|選|只有",
        r"选项|選項|项|項",
        r"正确|正確|对的|對的|对|對|正确答案|正確答案|答案|[最更](?:合适|合適|符合|恰当|好)",
        r"既?不(?!错|錯)|没|沒|非|错误?|錯誤?|并非|無|无法|排除",
        but=r"而是|而|(?=是)",
        joined=r"或者?|还是|還是|和|与|與|及|以及",
        also=r"也",
        doubted=r"(?<![最很不])(?<!最有)可能|也许|也許|或许|或許|不确定|不確定|大概",
        condition=r"如果(?!我|必须|必須|要)|假如|除非|要是",
        mentioned_behind=r"之间|之間",
        mentioned=r"分析|考虑|考慮|看看|看一下|比较|比較|例如|比如",
        it_is=r"是|应该是|應該是|最可能(?:的)?是|(?:我)?(?:认为|認為|觉得|覺得)是?|所以|因此|故|->|=>|→",
        yes=r"正确|正確|对|對|是|符合",
    ),
    "Japanese": Words(
        r"正解|答え|答|回答|解答",
        r"は|が|だけが",
        r"選択肢|最終|正しい|おそらく|たぶん",
        r"",
        r"選択肢",
        r"正解|正しい|答え|最も適切|適切",
        r"",
        r"間違\w{0,3}|誤り|不正解|除外|では?(?:ない|なく|ありません)|じゃ(?:ない|なく|ありません)|違い?(?:ます|う)|ません",
        joined=r"または|もしくは|あるいは|か|と|や",
        also=r"も",
        doubted=r"かもしれ|もしかし",
        condition=r"もし",
        mentioned=r"例えば|たとえば",
        mentioned_behind=r"を(?:検討|考え|見て|分析|確認)|について",
        it_is=r"それは|よって|したがって",
        chosen=r"を選|だ?と思",
        yes=r"はい|正解|正しい",
    ),
    "Korean": Words(
        r"정답|답변|(?<!오)답",
        r"은|는|이|가|만",
        r"선택지|옵션|보기|최종",
        r"",
        r"선택지|옵션|보기|번",
        r"정답|맞습니다|맞다|옳습니다|답|가장\s?적절",
        r"",
        r"틀\w{1,3}|오답|아니(?:라|고|다|며)?|아닙니다|아님|않\w{0,3}|없\w{0,3}",
        joined=r"또는|혹은|나|이나|와|과|및",
        also=r"도",
        doubted=r"아마|일\s?수도|수도\s?있|불확실",
        condition=r"만약|만일",
        mentioned=r"예를\s?들어",
        mentioned_behind=r"[를을]\s?(?:살펴|분석|고려|검토)|에\s?대해",
        it_is=r"따라서|그러므로",
        chosen=r"[를을]\s?(?:선택|고르|고릅)|(?:이?라고|인\s것으로)\s?(?:생각|보)",
        yes=r"예|네|맞음|정답|맞습니다",
    ),
    "Thai": Words(
        r"คำตอบ", r"คือ", r"ที่ถูกต้อง", option=r"ตัวเลือก|ข้อ", correct=r"ถูกต้อง", denied=r"ไม่ใช่|ไม่|ผิด", joined=r"หรือ|และ",
        doubted=r"อาจ", condition=r"ถ้า", yes=r"ใช่|ถูกต้อง",
    ),
    "Marks": Words(it_is=r"->|=>|→", joined=r"->|=>|→", yes=r"✅|☑|✔|✓|👍", denied=r"❌|✗|✘|👎|≠"),
}  # fmt: skip
"""Languages that put none, or glue particles to words."""


def spaced(field: str) -> str:
    """The alternatives of all spaced languages for a field of :class:`Words`."""
    return "|".join(filter(None, (getattr(words, field) for words in SPACED.values())))


def unspaced(field: str) -> str:
    """The alternatives of all other languages for a field of :class:`Words`."""
    return "|".join(filter(None, (getattr(words, field) for words in UNSPACED.values())))


def either(field: str) -> str:
    """A group that matches a word of any language for a field of :class:`Words`."""
    words = rf"(?:(?<!\w)(?:{spaced(field)})(?!\w)|(?:{unspaced(field) or '(?!)'}))"
    return unicodedata.normalize("NFKC", words)  # as the answers are
